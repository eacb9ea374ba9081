"""Operator log, audit sinks, statistics and the live monitor."""
