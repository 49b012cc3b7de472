"""Unit vectors: cells and centroids, joins of similar ones, and centers that cover them all."""
