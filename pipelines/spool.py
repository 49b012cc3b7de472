"""Read a task of the plan; cut up first what only one worker can read.

A compressed file or one giant row group cannot be entered in the middle. Its task is read once,
written as Arrow pieces, and each piece becomes a working shard of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache

import pyarrow as pa

from pipelines import files
from pipelines.ledger import Places
from pipelines.mail import TASK, Mail, Message, Round, home, home_number, message
from pipelines.plan import ReadPlan, Task, read_task
from pipelines.readers import Read
from pipelines.readers.reader import Bad, Chunk
from pipelines.shard import PartsWriter, path_of, read_parts

SPOOL_BYTES = 64 << 20
"""Bytes of rows a spooled piece."""

PLAN_FILE = "plan.arrow"
_SPOOL = "spool.json"
_PIECE_BITS = 12


def shard_number(task: int) -> int:
    """Return the number of the shard of a task; its spooled pieces take those that follow."""
    return task << _PIECE_BITS


def spool_round(work: str, read: Read, required: tuple[str, ...]) -> Round:
    """Return the round that turns an unsplittable task into several shards."""

    def solve(address: str, mail: Mail) -> Iterator[Message]:
        number = home_number(address)
        if not _task(work, number).spool:
            yield message(address, TASK)
            return
        for piece in _spool(work, number, read, required):
            yield message(home(piece), TASK)

    return Round((TASK,), solve)


def _spool(work: str, number: int, read: Read, required: tuple[str, ...]) -> Iterator[int]:
    """Write the chunks of a task as pieces of about SPOOL_BYTES; yield their shard numbers."""
    writer, bad, size = PartsWriter(work, number, "spool"), list[Bad](), 0
    for chunk in read_task(read, _task(work, number), required=required):
        writer.write(chunk.table)
        bad += chunk.bad
        size += chunk.table.nbytes
        if size >= SPOOL_BYTES:
            yield _close(work, number, writer, bad)
            number += 1
            writer, bad, size = PartsWriter(work, number, "spool"), [], 0
    yield _close(work, number, writer, bad)


def _close(work: str, number: int, writer: PartsWriter, bad: list[Bad]) -> int:
    writer.close()
    state = {"parts": writer.parts, "bad": [asdict(b) for b in bad]}
    files.write_bytes_atomically(path_of(work, number, _SPOOL), json.dumps(state).encode())
    return number


def read_shard(
    work: str, number: int, read: Read, required: tuple[str, ...], spools: bool
) -> Iterator[Chunk]:
    """Yield what shard `number` is to read: its task of the plan, or its spooled piece."""
    path = path_of(work, number, _SPOOL)
    if not spools or not files.exists(path):
        yield from read_task(read, _task(work, number), required=required)
        return
    state = json.loads(files.read_bytes(path))
    bad = [Bad(**b) for b in state["bad"]]
    for table in read_parts(state["parts"]):
        yield Chunk(table, bad)
        bad = []
    if bad:
        yield Chunk(pa.table({}), bad)


def places_of(work: str, number: int, read: Read) -> Places:
    """Return the names of the places in the input from which a shard was read."""
    pieces = _task(work, number).pieces
    if read.one_row_a_file:
        return Places({piece.start: piece.name for piece in pieces}, None)
    return Places({piece.file: piece.name for piece in pieces}, read.unit)


@lru_cache(maxsize=8)
def _task(work: str, number: int) -> Task:
    return ReadPlan.task(f"{work}/{PLAN_FILE}", number >> _PIECE_BITS)
