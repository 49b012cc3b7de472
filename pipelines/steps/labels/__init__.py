"""Steps that doubt labels."""
