"""Putting values back into answers and tool inputs."""
