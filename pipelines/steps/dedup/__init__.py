"""Steps that drop rows, or cut spans of text, that stand elsewhere in the corpus.

One module per step; `against`, `pairs`, `cuts` and `vector_search` hold what several of them share.
"""
