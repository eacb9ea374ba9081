"""What finding secrets costs, as ratios to reading and writing the same JSON."""
