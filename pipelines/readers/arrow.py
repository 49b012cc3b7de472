"""Arrow files: streams (what `datasets` writes), Arrow files and Feather."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, ClassVar, Literal

import orjson
import pyarrow as pa

from pipelines import files
from pipelines.readers.reader import CHUNK_SIZE, Chunk, ChunkSize, Piece
from pipelines.readers.records import Unreadable, broken
from pipelines.readers.source import Source
from pipelines.readers.tables import chunks

_MAGIC = b"ARROW1"


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
                    if at >= piece.start:
                        yield from chunks(batch, row, piece, columns, required, size)
                    row += batch.num_rows
        except Unreadable as error:
            if piece.start <= error.position < max(piece.stop, 1):  # else another piece says so
                yield broken(piece, row, f"from row {row} on", f"cannot be read: {error}")


class Arrow(ArrowFiles):
    """Arrow streams, Arrow and Feather files, or a folder written by `Dataset.save_to_disk`.

    A local file is mapped, not read, so a piece finds its record batches by their headers alone.
    HF features in the schema's metadata come along.
    """

    format: Literal["arrow"] = "arrow"
    """Arrow IPC."""
    split: str | None = None
    """Split to read, where the folder holds a DatasetDict."""

    def list_files(self) -> list[files.File]:
        """List the Arrow files; of a dataset's folder, those that belong to the dataset."""
        if isinstance(self.path, str) and files.is_folder(self.path):
            return files.list_files(_dataset_files(self.path, self.split), self.suffixes)
        if self.split is not None:
            raise ValueError(
                f"read.split is {self.split!r}, but {self.path} is no folder with a "
                "dataset_dict.json: leave `split` out"
            )
        return super().list_files()


@contextmanager
def _unreadable(position: int) -> Iterator[None]:
    """Turn what Arrow raises about a file into `Unreadable`."""
    try:
        yield
    except files.TRANSIENT:
        raise
    except (OSError, pa.ArrowException) as error:
        raise Unreadable(position, str(error)) from error


def _opened(path: str) -> pa.NativeFile:
    with _unreadable(0):
        return files.open_arrow(path)


def _batches(file: pa.NativeFile) -> tuple[pa.Schema, Iterator[tuple[int, pa.RecordBatch]]]:
    """Return the schema and the record batches, each with its position in the file."""
    with _unreadable(0):
        is_file = file.read(len(_MAGIC)) == _MAGIC
        file.seek(0)
        if is_file:
            reader = pa.ipc.open_file(file)
            return reader.schema, _of_file(reader, file.size())
        stream = pa.ipc.open_stream(file)
        return stream.schema, _of_stream(stream, file)


def _of_file(reader: Any, size: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    # Where a batch of an Arrow file stands is not public; its share of the file does as well.
    for i in range(reader.num_record_batches):
        at = i * size // reader.num_record_batches
        with _unreadable(at):
            batch = reader.get_batch(i)
        yield at, batch


def _of_stream(reader: Any, file: pa.NativeFile) -> Iterator[tuple[int, pa.RecordBatch]]:
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
            raise ValueError(
                f"{folder} holds {what}: choose with `read: {{split: ...}}`, "
                f"one of {', '.join(names)}"
            )
        folder = files.join(folder, split or names[0])
    elif split is not None:
        raise ValueError(f"read.split is {split!r}, but {folder} has no dataset_dict.json")
    state = files.join(folder, "state.json")
    if not files.exists(state):
        return folder
    shards = orjson.loads(files.read_bytes(state))["_data_files"]
    return [files.join(folder, PurePosixPath(shard["filename"]).name) for shard in shards]
