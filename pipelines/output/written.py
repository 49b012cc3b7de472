"""What is known of a file of the output once it is written."""

from __future__ import annotations

from pipelines.ledger.counts import Counted


class WrittenFile(Counted):
    """One file of the output."""

    file: str
    """Its path within the output."""
    rows: int
    sha256: str
    fates: dict[str, int] | None = None
    """Of a file of the ledger: records by fate."""
