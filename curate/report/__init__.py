"""What a run shows a person: the report, the dataset card, examples and pictures."""
