"""Arrow files: streams (what `datasets` writes), Arrow files and Feather."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, ClassVar, Literal

import orjson
import pyarrow as pa

from pipelines import files, listings
from pipelines.errors import UserError
from pipelines.readers.formats.messages import (
    BATCH,
    MAGIC,
    SCHEMA,
    STREAM_STARTS,
    Fed,
    Message,
    batches_told,
    message_at,
)
from pipelines.readers.reader import CHUNK_SIZE, Chunk, ChunkSize, Piece
from pipelines.readers.records import Unreadable, rest_lost, rows_lost
from pipelines.readers.source import Source
from pipelines.readers.tables import chunks, invalid, named

LARGEST_BATCH = 1 << 30
"""Bytes that a compressed record batch may unpack to; it is read whole."""
_ROWS_OF_NO_BYTES = 1 << 24
"""Rows that a record batch may have without a byte for each, as nulls have none."""


class ArrowFiles(Source):
    """Whatever is stored as Arrow files."""

    suffixes: ClassVar[tuple[str, ...]] = (".arrow", ".feather", ".ipc")

    def splittable(self, file: listings.File) -> bool:
        """Tell whether the file is local: a remote one would be read up to each piece."""
        return not files.is_remote(file.path)

    def read(
        self, piece: Piece, *, required: Sequence[str] = (), size: ChunkSize = CHUNK_SIZE
    ) -> Iterator[Chunk]:
        """Yield the rows of the record batches that start in the piece."""
        row = 0
        try:
            with _opened(piece.path) as file:
                schema, batches = _batches(file, piece.start)
                columns = self.check(schema, piece.name, required)
                for at, batch in batches:
                    if at >= piece.stop:
                        return
                    _check_rows(batch, file.size(), at)
                    stop = row + batch.num_rows
                    if isinstance(batch, pa.RecordBatch):
                        yield from chunks(batch, row, piece, columns, required, size)
                    elif batch.error is not None:
                        yield from rows_lost(piece, range(row, stop), batch.error, size)
                    row = stop
        except Unreadable as error:
            if piece.start <= error.position < max(piece.stop, 1):  # else another piece says so
                yield rest_lost(piece, row, f"from row {row} on", str(error))


class Arrow(ArrowFiles):
    """Arrow streams, Arrow and Feather files, or a folder written by `Dataset.save_to_disk`.

    A piece finds its record batches by their headers alone. Nothing is mapped into memory: a file
    that shrinks while it is read would end the process. HF features in the schema's metadata come
    along.
    """

    format: Literal["arrow"] = "arrow"
    """Arrow IPC."""
    split: str | None = None
    """Split to read, where the folder holds a DatasetDict."""

    def look(self) -> listings.Listing:
        """List the Arrow files; of a dataset's folder, those that belong to the dataset."""
        if isinstance(self.path, str) and files.is_folder(self.path):
            found = _dataset_files(self.path, self.split)
            return listings.look(found, self.suffixes, outside=self.links == "follow")
        if self.split is not None:
            raise UserError(
                f"read.split is {self.split!r}, but {self.path} is no folder with a "
                "dataset_dict.json: leave `split` out"
            )
        return super().look()


@dataclass(frozen=True)
class _Unread:
    """A record batch that is not read; its header says how many rows it has."""

    num_rows: int
    error: str | None = None
    """Why its rows are lost; None where another piece reads them."""


_Batches = Iterator[tuple[int, pa.RecordBatch | _Unread]]
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


def _check_rows(batch: pa.RecordBatch | _Unread, size: int, position: int) -> None:
    """Refuse a record batch that claims more rows than its file can hold.

    Of one that is damaged each row is told, so that its claim must not be believed as far.
    """
    damaged = batch.error if isinstance(batch, _Unread) else invalid(batch.validate)
    rows, most = batch.num_rows, 8 * size if damaged else max(_ROWS_OF_NO_BYTES, 8 * size)
    if not 0 <= rows <= most:
        raise Unreadable(position, f"a record batch claims {rows:,} rows in {size:,} bytes")


def _opened(path: str) -> pa.NativeFile:
    with _unreadable(0):
        return files.open_table(path)


def _batches(file: pa.NativeFile, start: int) -> tuple[pa.Schema, _Batches]:
    """Return the schema and the record batches; those before byte `start` are not read."""
    with _unreadable(0):
        is_file = file.read(len(MAGIC)) == MAGIC
        schema = message_at(file, STREAM_STARTS if is_file else 0)
        if schema is None or schema.kind != SCHEMA:
            raise pa.ArrowInvalid("the file has no schema")
        source = Fed(file, schema)
        stream = pa.ipc.open_stream(pa.PythonFile(source, mode="r"))
        return named(stream.schema), _walk(stream, source, schema.stop, start, is_file)


def _walk(stream: Any, source: Fed, at: int, start: int, is_file: bool) -> _Batches:
    number = 0
    while message := _next(source.file, at):
        if message.kind != BATCH:
            source.feed(message)
        elif at < start:
            yield at, _Unread(message.rows)
        else:
            source.feed(message)
            yield at, _read_batch(message, f"record batch {number}", stream.read_next_batch)
            source.forget(message)
        number += message.kind == BATCH
        at = message.stop
    if is_file:
        with _unreadable(at):
            if (told := batches_told(source.file)) != number:
                raise pa.ArrowInvalid(f"{number} record batches of {told}")


def _next(file: pa.NativeFile, at: int) -> Message | None:
    with _unreadable(at):
        message = message_at(file, at)
        if message is None:
            return None
        if message.stop > file.size():
            raise pa.ArrowInvalid(f"the file ends before byte {message.stop:,}")
        if message.kind != BATCH and (said := _too_large(message)):
            raise pa.ArrowInvalid(f"a dictionary {said}")
    return message


def _too_large(message: Message) -> str | None:
    if message.unpacked <= LARGEST_BATCH:
        return None
    return f"unpacks to {message.unpacked:,} bytes; at most {LARGEST_BATCH:,} are read"


def _read_batch(
    message: Message, name: str, read: Callable[[], pa.RecordBatch]
) -> pa.RecordBatch | _Unread:
    if said := _too_large(message):
        return _Unread(message.rows, f"{name} {said}")
    try:
        with _unreadable(message.start):
            return read()
    except Unreadable as error:
        return _Unread(message.rows, f"{name} cannot be read: {error}")


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
