"""What encoders share: vectors of length 1, and networks that run on one thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from pipelines.maths.arrays import Vectors

_ONE_AT_A_TIME = threading.Lock()


def unit(vectors: Vectors) -> Vectors:
    """Return the vectors scaled to length 1; a zero vector stays zero."""
    length = np.sqrt(np.square(vectors, dtype=np.float64).sum(axis=1, keepdims=True))
    return (vectors / np.where(length == 0, 1, length)).astype(np.float32)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let PyTorch infer on one thread: how threads share a sum would show in its last bits.

    The number of threads belongs to the process, so one network at a time may run.
    """
    import torch

    with _ONE_AT_A_TIME, torch.inference_mode():
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
