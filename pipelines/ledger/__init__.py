"""The fate of every row: records, the books that keep them, and the balance of all."""
