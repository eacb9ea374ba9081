"""Where providers' credentials come from: fixed keys, AWS, Google, GitHub sign-in."""
