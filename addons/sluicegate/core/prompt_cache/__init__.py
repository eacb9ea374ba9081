"""The provider's prompt cache: putting in the markers that clients forget, and finding out why a cached prefix was lost."""
