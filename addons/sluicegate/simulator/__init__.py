"""A Messages API stand-in with faults and a bill."""
