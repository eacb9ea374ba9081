"""The sluicegate command."""
