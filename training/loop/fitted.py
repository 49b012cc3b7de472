"""What a training did."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fitted:
    """What training did; over several processes, all of them together."""

    steps: int
    examples: int
    """Examples seen, repeats included."""
    seconds: float
    flops: int
    """Those of the first step times the steps: an estimate where batches differ in length."""
    bytes_read: int
    """Bytes of the tensors that the model was given."""
    stopped_early: bool
    finite: bool
    """False if the loss became infinite or NaN, which ends the training."""
    losses: tuple[tuple[int, float], ...]
    """(Steps done, training loss of the last) about a hundred times; the last step is there."""
