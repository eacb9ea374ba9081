"""What is told: operator log, audit sinks, statistics, live monitor."""
