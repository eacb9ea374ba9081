"""Router: chooses the target, translates the request for it, decides on retries."""
