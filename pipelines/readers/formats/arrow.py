"""Arrow files: streams (what `datasets` writes), Arrow files and Feather."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, ClassVar, Literal

import orjson
import pyarrow as pa

from pipelines import files
from pipelines.errors import UserError
from pipelines.readers.formats.messages import rows_of_batch
from pipelines.readers.reader import CHUNK_SIZE, Chunk, ChunkSize, Piece
from pipelines.readers.records import Unreadable, rest_lost, rows_lost
from pipelines.readers.source import Source
from pipelines.readers.tables import chunks, named

_MAGIC = b"ARROW1"
_ROWS_OF_NO_BYTES = 1 << 24
"""Rows that a record batch may have without a byte for each, as nulls have none."""


class ArrowFiles(Source):
    """Whatever is stored as Arrow files."""

    suffixes: ClassVar[tuple[str, ...]] = (".arrow", ".feather", ".ipc")

    def splittable(self, file: files.File) -> bool:
        """Tell whether the file is local: a remote one would be read up to each piece."""
        return not files.is_remote(file.path)

    def read(
        self, piece: Piece, *, required: Sequence[str] = (), size: ChunkSize = CHUNK_SIZE
    ) -> Iterator[Chunk]:
        """Yield the rows of the record batches that start in the piece."""
        row = 0
        try:
            with _opened(piece.path) as file:
                schema, batches = _batches(file)
                columns = self.check(schema, piece.name, required)
                for at, batch in batches:
                    if at >= piece.stop:
                        return
                    _check_rows(batch.num_rows, file.size(), at)
                    mine, stop = at >= piece.start, row + batch.num_rows
                    if mine and isinstance(batch, _Damaged):
                        yield from rows_lost(piece, range(row, stop), batch.error, size)
                    elif mine:
                        yield from chunks(batch, row, piece, columns, required, size)
                    row = stop
        except Unreadable as error:
            if piece.start <= error.position < max(piece.stop, 1):  # else another piece says so
                yield rest_lost(piece, row, f"from row {row} on", str(error))


class Arrow(ArrowFiles):
    """Arrow streams, Arrow and Feather files, or a folder written by `Dataset.save_to_disk`.

    A local file is mapped, not read, so a piece finds its record batches by their headers alone.
    HF features in the schema's metadata come along.
    """

    format: Literal["arrow"] = "arrow"
    """Arrow IPC."""
    split: str | None = None
    """Split to read, where the folder holds a DatasetDict."""

    def look(self) -> files.Listing:
        """List the Arrow files; of a dataset's folder, those that belong to the dataset."""
        if isinstance(self.path, str) and files.is_folder(self.path):
            found = _dataset_files(self.path, self.split)
            return files.look(found, self.suffixes, outside=self.links == "follow")
        if self.split is not None:
            raise UserError(
                f"read.split is {self.split!r}, but {self.path} is no folder with a "
                "dataset_dict.json: leave `split` out"
            )
        return super().look()


@dataclass(frozen=True)
class _Damaged:
    """A record batch that cannot be read; its header says how many rows are lost."""

    num_rows: int
    error: str


_Batches = Iterator[tuple[int, pa.RecordBatch | _Damaged]]
"""Record batches, each with its position in the file."""


@contextmanager
def _unreadable(position: int) -> Iterator[None]:
    """Turn what Arrow raises about a file into `Unreadable`."""
    try:
        yield
    except files.TRANSIENT:
        raise
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise Unreadable(position, str(error)) from error


def _check_rows(rows: int, size: int, position: int) -> None:
    """Refuse a record batch that claims more rows than its file can hold."""
    if rows < 0 or rows > max(_ROWS_OF_NO_BYTES, 8 * size):
        raise Unreadable(position, f"a record batch claims {rows:,} rows in {size:,} bytes")


def _opened(path: str) -> pa.NativeFile:
    with _unreadable(0):
        return files.open_arrow(path)


def _batches(file: pa.NativeFile) -> tuple[pa.Schema, _Batches]:
    """Return the schema and the record batches."""
    with _unreadable(0):
        is_file = file.read(len(_MAGIC)) == _MAGIC
        file.seek(0)
        if is_file:
            reader = pa.ipc.open_file(file)
            return named(reader.schema), _of_file(reader, file)
        stream = pa.ipc.open_stream(file)
        return named(stream.schema), _of_stream(stream, file)


def _of_file(reader: Any, file: pa.NativeFile) -> _Batches:
    # Where a batch of an Arrow file stands is not public; its share of the file does as well.
    size = file.size()
    for i in range(reader.num_record_batches):
        at = i * size // reader.num_record_batches
        try:
            with _unreadable(at):
                batch = reader.get_batch(i)
        except Unreadable as error:
            with _unreadable(at):
                rows = rows_of_batch(file, i)
            batch = _Damaged(rows, f"record batch {i} cannot be read: {error}")
        yield at, batch


def _of_stream(reader: Any, file: pa.NativeFile) -> _Batches:
    while True:
        at = file.tell()
        with _unreadable(at):
            batch = next(reader, None)
        if batch is None:
            return
        yield at, batch


def _dataset_files(folder: str, split: str | None) -> str | list[str]:
    """Return the data files that a saved dataset names, or the folder if it holds none."""
    splits = files.join(folder, "dataset_dict.json")
    if files.exists(splits):
        names = orjson.loads(files.read_bytes(splits))["splits"]
        if split not in names and (split is not None or len(names) > 1):
            what = f"no split {split!r}" if split else "several splits"
            raise UserError(
                f"{folder} holds {what}: choose with `read: {{split: ...}}`, "
                f"one of {', '.join(names)}"
            )
        folder = files.join(folder, split or names[0])
    elif split is not None:
        raise UserError(f"read.split is {split!r}, but {folder} has no dataset_dict.json")
    state = files.join(folder, "state.json")
    if not files.exists(state):
        return folder
    shards = orjson.loads(files.read_bytes(state))["_data_files"]
    return [files.join(folder, PurePosixPath(shard["filename"]).name) for shard in shards]
