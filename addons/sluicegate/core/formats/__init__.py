"""The wire formats around the Messages API: what a request in one of them says of itself, and how it becomes another's."""
