"""Where the rows of a proof come from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RowOrigins:
    """Where the datasets lie, and which columns are read.

    Attributes:
        folders: raw, curated and test; further tests as "test:<name>", "validation", and the
            attribution datasets "without:<step>" and "only:<step>".
        content: column of the text or image.
        label: column of the label; None where a language model needs none.
        oracle: column of raw that holds true labels, if there is one.
    """

    folders: Mapping[str, Path]
    content: str
    label: str | None
    oracle: str | None = None
