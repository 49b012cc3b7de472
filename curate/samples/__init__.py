"""Small dirty corpora to try, and the marker that says which defects were planted."""
