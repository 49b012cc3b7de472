"""What is known of a file of the output once it is written."""

from pydantic import Field

from pipelines.options import Record, absent


class WrittenFile(Record):
    """One file of the output."""

    file: str
    """Its path within the output."""
    rows: int
    sha256: str
    fates: dict[str, int] | None = Field(default=None, exclude_if=absent)
    """Of a file of the ledger: records by fate."""
