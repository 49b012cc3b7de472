"""The data of a proof: read, cleared of leaks, traced, and turned into what models read."""
