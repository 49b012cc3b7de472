"""The read plan: one listing, cut into tasks of similar size that any worker can read."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipelines import files, listings
from pipelines.errors import UserError
from pipelines.readers.gather import first, gather
from pipelines.readers.places import placed, split_folders, without_placed_roles
from pipelines.readers.reader import CHUNK_SIZE, Chunk, ChunkSize, Piece
from pipelines.readers.source import Source
from pipelines.rows import KEY, keys
from pipelines.rows.facts import without_facts
from pipelines.rows.merging import merge_schemas
from pipelines.rows.schema import conform

TASK_BYTES = 64 << 20
_MOST_PIECES = 8192
"""Pieces a task has at most: opening a file costs time whatever its size."""
_SPOOL = 2
"""A file that cannot be split is spooled past this many times the size of a task."""
_SCHEMA = pa.schema(
    [
        ("file", pa.int32()),
        ("path", pa.string()),
        ("name", pa.string()),
        ("start", pa.int64()),
        ("stop", pa.int64()),
        ("split", pa.string()),
    ]
)


@dataclass(frozen=True)
class Task:
    """Pieces that one worker reads one after the other."""

    pieces: tuple[Piece, ...]
    spool: bool = False
    """One large file that cannot be split: read it once, in one worker, into working files."""
    limit: int | None = None
    """Read this many records and stop."""


@dataclass(frozen=True)
class ReadPlan:
    """What is read, in which order, in which portions.

    Keys follow from the listing alone, so no result depends on how it was cut into tasks.
    """

    tasks: tuple[Task, ...]
    looked: listings.Listing = field(repr=False)
    """The listing."""
    limit: int | None = None
    """Records read at most, of all tasks together; there is one task then."""
    fingerprint: str = ""
    """Hash of the names, sizes and times (or etags) of all files that are read, and of the limit.

    It changes when the input may have; the same files copied elsewhere may differ by time.
    """

    @property
    def files(self) -> tuple[listings.File, ...]:
        """The files of the listing."""
        return self.looked.files

    def save(self, path: str) -> None:
        """Write the plan as an Arrow file, a record batch a task."""
        about = {
            "spool": [i for i, task in enumerate(self.tasks) if task.spool],
            "limit": self.limit,
        }
        schema = _SCHEMA.with_metadata({"plan": json.dumps(about)})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, schema) as writer:
            for task in self.tasks:
                columns = [
                    pa.array([getattr(piece, name) for piece in task.pieces], kind)
                    for name, kind in zip(_SCHEMA.names, _SCHEMA.types, strict=True)
                ]
                writer.write_batch(pa.record_batch(columns, schema=schema))
        files.write_bytes_atomically(path, sink.getvalue().to_pybytes())

    @staticmethod
    def task(path: str, i: int) -> Task:
        """Read task `i` of a saved plan, and no other."""
        with files.open_arrow(path) as source, pa.ipc.open_file(source) as reader:
            return _task(reader.get_batch(i), i, _about(reader))


def _about(reader: Any) -> dict[str, Any]:
    return dict(json.loads(reader.schema.metadata[b"plan"]))


def _task(batch: pa.RecordBatch, i: int, about: dict[str, Any]) -> Task:
    columns = [column.to_pylist() for column in batch.columns]
    pieces = tuple(Piece(*row) for row in zip(*columns, strict=True))
    return Task(pieces, i in about["spool"], about["limit"])


def make_plan(
    read: Source,
    *,
    target_bytes: int = TASK_BYTES,
    limit: int | None = None,
    looked: listings.Listing | None = None,
) -> ReadPlan:
    """List the input once and cut it into tasks of about `target_bytes`.

    Small files share a task, large ones are split where their format allows. With a `limit` the
    plan is a single task that stops after that many records: the first of the input, always.
    `looked` is a listing that was made already.

    Raises:
        UserError: there is no input, or more files than keys can number.
    """
    if target_bytes < 1 or (limit is not None and limit < 1):
        given = f"target_bytes={target_bytes}, limit={limit}"
        raise UserError(f"a read plan needs target_bytes and limit of at least 1, not {given}")
    looked = looked or read.look()
    listed = looked.files
    most = keys.MAX_POSITION if read.one_row_per_file else keys.MAX_FILES
    if len(listed) > most:
        raise UserError(f"{len(listed)} files are more than {most}: put several into one file")
    fingerprint = _fingerprint([*listed, *read.also_read(listed)], limit)
    wholes = _wholes(read, listed)
    if limit is not None:
        return ReadPlan((Task(tuple(wholes), limit=limit),), looked, limit, fingerprint)
    tasks = _tasks(read, listed, wholes, target_bytes)
    return ReadPlan(tuple(tasks), looked, None, fingerprint)


def changed_files(read: Source, plan: ReadPlan) -> list[str]:
    """Say of each file of a plan that is no longer as it was listed how it changed."""
    try:
        now = {file.path: file for file in read.list_files()}
    except listings.NoInput:
        now = {}
    found = []
    for file in plan.files:
        other = now.get(file.path)
        if other is None:
            found.append(f"{file.name}: is gone")
        elif other.size != file.size:
            found.append(f"{file.name}: had {file.size:,} bytes, has {other.size:,}")
        elif other.stamp != file.stamp:
            found.append(f"{file.name}: was written again")
    return found


def _tasks(
    read: Source, listed: Sequence[listings.File], wholes: Sequence[Piece], target: int
) -> Iterator[Task]:
    pieces: list[Piece] = []
    held = 0
    for file, whole in zip(listed, wholes, strict=True):
        size = read.expanded(file)
        if pieces and (held + size > target or len(pieces) >= _MOST_PIECES):
            yield Task(tuple(pieces))
            pieces, held = [], 0
        if size > target and not read.one_row_per_file:
            if read.splittable(file):
                yield from (Task((piece,)) for piece in _split(whole, target))
            else:
                yield Task((whole,), spool=size > _SPOOL * target)
        else:
            pieces.append(whole)
            held += size
    if pieces:
        yield Task(tuple(pieces))


def _wholes(read: Source, listed: Sequence[listings.File]) -> list[Piece]:
    """Return for each file the piece that is all of it, a row of the listing where that is one."""
    splits = split_folders(file.name for file in listed) if read.splits == "auto" else {}
    found = []
    for number, file in enumerate(listed):
        split = splits.get(file.name.split("/")[0])
        place = (0, number, number + 1) if read.one_row_per_file else (number, 0, file.size)
        found.append(Piece(place[0], file.path, file.name, *place[1:], split))
    return found


def _split(whole: Piece, target: int) -> Iterator[Piece]:
    """Cut a file into equal byte ranges of at most `target` bytes."""
    count = -(-whole.stop // target)
    cuts = [whole.stop * i // count for i in range(count + 1)]
    for start, stop in pairwise(cuts):
        yield replace(whole, start=start, stop=stop)


def _fingerprint(listed: Iterable[listings.File], limit: int | None) -> str:
    hashed = xxhash.xxh3_128(f"limit {limit}\n".encode())
    for file in listed:
        hashed.update(f"{file.name}\0{file.size}\0{file.stamp}\n".encode())
    return hashed.hexdigest()


def read_task(
    read: Source, task: Task, *, required: Sequence[str] = (), size: ChunkSize = CHUNK_SIZE
) -> Iterator[Chunk]:
    """Yield the records of a task in order; chunks of small files are put together."""
    chunks = gather(_chunks(read, task.pieces, required, size), size)
    return chunks if task.limit is None else first(chunks, task.limit)


def _chunks(
    read: Source, pieces: Sequence[Piece], required: Sequence[str], size: ChunkSize
) -> Iterator[Chunk]:
    """Yield the records of some pieces with all that is known of them."""
    reader, required = without_placed_roles(read, pieces, required)
    for chunk in reader.read_pieces(pieces, required, size):
        yield placed(chunk, read, pieces)


def fetch(read: Source, plan: ReadPlan, wanted: Iterable[int]) -> pa.Table:
    """Read single rows of the input again, by key; rows come in the order of their keys.

    The key of a derived row brings the row it was derived from, with that one's key. Costs a seek
    a row for plain lines, a row group for Parquet, and the file for what cannot be split. Rows
    that cannot be read are left out.
    """
    at = sorted({key >> keys.COPY_BITS << keys.COPY_BITS for key in map(int, wanted)})
    positions: dict[int, list[int]] = defaultdict(list)
    for key in at:
        positions[key >> (keys.COPY_BITS + keys.POSITION_BITS)].append(
            key >> keys.COPY_BITS & (keys.MAX_POSITION - 1)
        )
    pieces: dict[Piece, None] = {}
    for number, places in positions.items():
        pieces |= dict.fromkeys(_pieces_at(read, plan, number, places))
    tables = [
        chunk.table.filter(pc.is_in(chunk.table[KEY], pa.array(at, pa.int64())))
        for chunk in _chunks(read, list(pieces), (), CHUNK_SIZE)
    ]
    if not tables:
        return pa.table({KEY: pa.array([], pa.int64())})
    schema = merge_schemas(table.schema for table in tables)
    joined = pa.concat_tables([conform(table, schema) for table in tables])
    return without_facts(joined.combine_chunks())


def _pieces_at(read: Source, plan: ReadPlan, number: int, positions: list[int]) -> Iterator[Piece]:
    """Yield the smallest pieces that hold the records at `positions` of file `number`."""
    planned = [piece for task in plan.tasks for piece in task.pieces if piece.file == number]
    if read.one_row_per_file:
        rows = set(positions)
        yield from (piece for piece in planned if piece.start in rows)
    elif planned:
        whole = replace(planned[0], start=0, stop=max(piece.stop for piece in planned))
        yield from (read.piece_at(whole, position) for position in positions)
