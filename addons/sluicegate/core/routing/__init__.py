"""Which target comes next: attempts, health, quotas, pinning."""
