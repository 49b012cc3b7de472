"""The recipe: its model, how YAML becomes one, and all that can be wrong, with its line."""
