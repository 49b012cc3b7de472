"""Arrow streams, as `datasets` writes and maps them."""

from collections.abc import Iterable
from typing import BinaryIO, ClassVar, Literal

import pyarrow as pa

from pipelines.output.formats.output_format import OutputFormat


class ArrowStream(OutputFormat):
    """Arrow stream files: they open with `load_dataset`, streaming and `load_from_disk`."""

    suffix: ClassVar[str] = ".arrow"
    mapped: ClassVar[bool] = True

    format: Literal["arrow"] = "arrow"

    def write(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema, sink: BinaryIO) -> int:
        """Write one file and return its rows."""
        rows = 0
        with pa.ipc.new_stream(pa.PythonFile(sink, "w"), schema) as stream:
            for batch in batches:
                stream.write_batch(batch)
                rows += len(batch)
        return rows
