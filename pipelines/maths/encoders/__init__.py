"""Texts and pictures to unit vectors, by hashing or by frozen networks."""
