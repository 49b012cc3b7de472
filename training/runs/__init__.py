"""Runs, and the processes that make them."""
