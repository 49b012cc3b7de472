"""From two datasets, or a recipe that has run, to a proof: data, tests, progress, words."""
