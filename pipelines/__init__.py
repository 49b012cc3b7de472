"""The data path: readers, steps, the columnar shuffle, the engine, the ledger and the writer."""
