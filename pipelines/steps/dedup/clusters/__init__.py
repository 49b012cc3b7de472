"""From pairs of similar rows to verdicts: clusters, the row that is kept of each, the recall."""
