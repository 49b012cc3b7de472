"""Sets of hashes: their exact similarity, sketches of them, and weights of their elements."""
