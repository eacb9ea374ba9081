"""What a call costs, in USD."""
