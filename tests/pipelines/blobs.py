"""Well separated blobs of vectors, and their columns."""

import numpy as np
import pyarrow as pa


def blobs(sizes: list[int], spread: float = 0.05, width: int = 24, seed: int = 0) -> np.ndarray:
    """Return vectors in blobs of these sizes around orthogonal centres, of all lengths."""
    rng = np.random.default_rng(seed)
    vectors = np.repeat(np.eye(len(sizes), width), sizes, axis=0)
    vectors = vectors + spread * rng.normal(size=vectors.shape)
    return vectors * rng.uniform(0.1, 10, (len(vectors), 1))


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def column(vectors: np.ndarray) -> pa.Array:
    flat = pa.array(np.asarray(vectors, np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


def kept_of(verdicts: dict, rows: int) -> np.ndarray:
    """Return the positions of the rows without a verdict."""
    return np.array([i for i in range(rows) if f"r{i:05d}" not in verdicts], np.int64)
