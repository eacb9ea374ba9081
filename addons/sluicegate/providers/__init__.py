"""What is particular to each LLM provider, one file each."""
