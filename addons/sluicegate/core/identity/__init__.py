"""Who calls, virtual keys, and which paths of an account a key may reach."""
