"""The contents of Messages requests and responses: model, session, usage, thinking, stream grammar, token estimates."""
