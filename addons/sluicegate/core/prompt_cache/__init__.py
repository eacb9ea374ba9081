"""The provider's prompt cache: adds the markers that clients omit, and explains why a cached prefix was not read."""
