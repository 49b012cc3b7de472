"""What a recipe would read, do and cost, and what other values of an option would drop."""
