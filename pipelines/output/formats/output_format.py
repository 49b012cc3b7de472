"""What a format of the output is."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import BinaryIO, ClassVar

import pyarrow as pa

from pipelines.options import Options


class OutputFormat(Options):
    """How rows are written to the files of the output."""

    suffix: ClassVar[str]
    """How the names of its files end, with the dot."""
    mapped: ClassVar[bool] = False
    """Whether `datasets.load_from_disk` maps the files."""

    format: str
    """Its name in `write: {format: …}`."""

    @abstractmethod
    def write(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema, sink: BinaryIO) -> int:
        """Write one file and return its rows; the bytes must follow from the rows alone.

        Args:
            batches: the rows of the file, in batches of a fixed number of rows.
            schema: of every batch, with Hugging Face features in its metadata.
            sink: takes the bytes in order; it cannot seek.
        """
