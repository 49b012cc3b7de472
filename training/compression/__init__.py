"""Smaller versions of a trained model, measured."""
