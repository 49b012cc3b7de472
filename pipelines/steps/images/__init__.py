"""Steps on the picture of one row."""
