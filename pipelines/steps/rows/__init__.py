"""Steps on whole rows: which columns go on, and which split a row belongs to."""
