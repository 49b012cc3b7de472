"""Pure computation on arrays: what the steps know of texts, pictures, vectors, sets and graphs.

No room of ours is imported here, only numpy, pyarrow, scipy and optional engines such as FAISS.
So each module can be read, tested and reused by itself.
"""
