"""Where state is kept, behind small protocols."""
