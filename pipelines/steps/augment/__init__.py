"""Steps that derive new rows from rows: changed copies of texts and images."""
