"""Steps on the text of one row: a clean spelling, bounds on length, the language."""
