"""Run a recipe from the input to an output folder that is whole or not there."""
