"""The response cache's key, and which requests and answers it is made for."""
