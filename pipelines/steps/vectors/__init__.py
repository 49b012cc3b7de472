"""The step that makes vectors, and what all steps on a column of vectors share.

Of the families of steps, only `dedup`, `select` and `labels` may import this one.
"""
