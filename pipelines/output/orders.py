"""Orders to write one file of the output each, as they travel from the planner to the writers."""

from dataclasses import dataclass
from typing import Literal

from pipelines.rows import Columns


@dataclass(frozen=True)
class ShardPart:
    """What one working shard has of what is laid out in files: [start, stop) over all shards."""

    shard: int
    start: int
    """Its first byte (of the rows of a split) or its first row (of ledger and keys)."""
    stop: int
    sizes: tuple[str, ...] = ()
    """Files of the sizes of its rows, of the rows of a split."""

    def meets(self, first: int, last: int) -> bool:
        """Tell whether some of it lies in [first, last)."""
        return self.start < last and self.stop > first


@dataclass(frozen=True)
class DataOrder:
    """Write one file of the rows of a split."""

    file: str
    """Path within the output."""
    split: str
    index: int
    """Number of the file among those of its split."""
    parts: tuple[ShardPart, ...]
    room: int
    """Bytes per file."""
    schema: str
    columns: Columns
    classes: tuple[str, ...] | None
    format: str
    """Name of the format of the rows."""
    kind: Literal["data"] = "data"


@dataclass(frozen=True)
class LedgerOrder:
    """Write one file of the ledger."""

    file: str
    index: int
    parts: tuple[ShardPart, ...]
    kind: Literal["ledger"] = "ledger"


@dataclass(frozen=True)
class KeysOrder:
    """Write one file of the keys that a dedup step stored."""

    file: str
    index: int
    parts: tuple[ShardPart, ...]
    segment: str
    after: str
    """Names of the segments before and after the step."""
    kind: Literal["keys"] = "keys"


Order = DataOrder | LedgerOrder | KeysOrder
