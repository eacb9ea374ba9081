"""What Messages requests and answers say: model, session, usage, thinking, stream grammar, token estimates."""
