"""What people look at: own endpoints, flow marks, views."""
