"""Curate text and image corpora, account for every row, and prove what it was worth."""
