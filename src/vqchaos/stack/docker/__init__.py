"""A Compose project as the stack under test."""
