"""`make bench`: what an exchange costs through the gate, as ratios to bare mitmdump in the same run."""
