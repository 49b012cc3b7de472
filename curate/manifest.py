"""The manifest of a run: what was read, what became of it, and with what it was made."""
