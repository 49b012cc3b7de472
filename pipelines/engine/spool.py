"""Read a task of the plan; cut up first what only one worker can read.

A compressed file or one giant row group cannot be entered in the middle. Its task is read once,
written as Arrow pieces, and each piece becomes a working shard of its own.
"""

import json
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from pipelines import files
from pipelines.errors import UserError
from pipelines.exchange.mail import TASK, Mail, Message, Round, home, home_number, message
from pipelines.exchange.shards import PartsWriter, path_of, read_parts, read_schema, write_schema
from pipelines.ledger.entries import Places
from pipelines.readers import Read
from pipelines.readers.read_plan import ReadPlan, Task, read_task
from pipelines.readers.reader import Bad, Chunk
from pipelines.rows.plain import plain

SPOOL_BYTES = 64 << 20
"""Bytes of rows per spooled piece."""

PLAN_FILE = "plan.arrow"
_PIECES = "pieces.json"
"""Written last where a task was spooled: the numbers of its pieces."""
_PIECE = "piece.json"
_PIECE_BITS = 20


def shard_number(task: int) -> int:
    """Return the number of the shard of a task; its spooled pieces take those that follow."""
    return task << _PIECE_BITS


def task_of(number: int) -> int:
    """Return the task that a shard was read from."""
    return number >> _PIECE_BITS


def spool_round(work: str, read: Read, required: tuple[str, ...]) -> Round:
    """Return the round that turns an unsplittable task into several shards."""

    def solve(address: str, mail: Mail) -> Iterator[Message]:
        number = home_number(address)
        for piece in _pieces(work, number, read, required):
            yield message(home(piece), TASK)

    return Round((TASK,), solve)


def _pieces(work: str, number: int, read: Read, required: tuple[str, ...]) -> list[int]:
    """Return the numbers of the shards of a task; spool it where that is not done yet."""
    if not _task(work, number).spool:
        return [number]
    path = path_of(work, number, _PIECES)
    if files.exists(path):
        return list(json.loads(files.read_bytes(path)))
    made = list(_spool(work, number, read_task(read, _task(work, number), required=required)))
    files.write_bytes_atomically(path, json.dumps(made).encode())
    return made


def _spool(work: str, first: int, chunks: Iterator[Chunk]) -> Iterator[int]:
    """Write chunks as pieces of about SPOOL_BYTES; yield the shard numbers of these."""
    for number, piece in enumerate(_cut(chunks), first):
        if task_of(number) != task_of(first):
            raise UserError(f"{_task(work, first).pieces[0].name} is too large: cut it up")
        bad: list[dict[str, Any]] = []
        attempt = path_of(work, number, f"piece-{uuid.uuid4().hex[:8]}")
        with PartsWriter(attempt) as writer:
            empty: dict[str, None] = {}
            for chunk in piece:
                table = plain(chunk.table.combine_chunks())
                writer.write(table)
                bad += map(asdict, chunk.bad)
                if not len(table):  # its types count, as those of every record read
                    empty[write_schema(table.schema)] = None
        state = {"parts": writer.parts, "bad": bad, "empty": list(empty)}
        files.write_bytes_atomically(path_of(work, number, _PIECE), json.dumps(state).encode())
        yield number


def _cut(chunks: Iterator[Chunk]) -> Iterator[Iterator[Chunk]]:
    """Cut a stream of chunks into streams of about SPOOL_BYTES; each is to be used up first."""
    following = next(chunks, None)

    def piece() -> Iterator[Chunk]:
        nonlocal following
        size = 0
        while following is not None and size < SPOOL_BYTES:
            size += following.table.nbytes
            yield following
            following = next(chunks, None)

    while True:
        yield piece()
        if following is None:
            return


def read_shard(
    work: str, number: int, read: Read, required: tuple[str, ...], spools: bool
) -> Iterator[Chunk]:
    """Yield what shard `number` is to read: its task of the plan, or its spooled piece."""
    if not spools or not _task(work, number).spool:
        yield from read_task(read, _task(work, number), required=required)
        return
    state = json.loads(files.read_bytes(path_of(work, number, _PIECE)))
    bad = [Bad(**b) for b in state["bad"]]
    for table in read_parts(state["parts"]):
        yield Chunk(table, bad)
        bad = []
    for schema in state["empty"]:
        yield Chunk(read_schema(schema).empty_table(), bad)
        bad = []


def places_of(work: str, number: int, read: Read) -> Places:
    """Return the names of the places in the input from which a shard was read."""
    pieces = _task(work, number).pieces
    if read.one_row_per_file:
        return Places({piece.start: piece.name for piece in pieces}, None)
    return Places({piece.file: piece.name for piece in pieces}, read.unit)


@lru_cache(maxsize=8)
def _task(work: str, number: int) -> Task:
    return ReadPlan.task(f"{work}/{PLAN_FILE}", task_of(number))
