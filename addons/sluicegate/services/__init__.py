"""What outlives a policy: alerts, prices, keys, statistics, log, sinks."""
