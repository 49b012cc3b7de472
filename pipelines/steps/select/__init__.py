"""Steps that keep a part of the rows: as many as a budget allows, the best, a fair mixture.

One module per step; `selection` is the shape that all steps with a budget have.
"""
