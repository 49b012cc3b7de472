"""Run a whole job without Beam: the same rounds, grouped by a dictionary."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.engine.graph import Job, first_messages, rounds_of
from pipelines.engine.spool import PLAN_FILE
from pipelines.exchange.mail import run_rounds
from pipelines.ledger.counts import RowCounts, StepCounts
from pipelines.output.summary import OutputSummary, balanced, read_summary, read_written
from pipelines.output.written import WrittenFile
from pipelines.readers.read_plan import TASK_BYTES, make_plan
from pipelines.rows import Rows
from pipelines.rows.chance import Chance
from pipelines.rows.verdicts import Verdicts
from pipelines.steps.step import Filter, Map, Step


class Poison(Map):
    """Raises on any batch that holds a text with a certain word."""

    op: str = "poison"
    word: str = "poison"

    def apply(self, rows: Rows, chance: Chance) -> Rows:
        """Return the rows as they are."""
        for text in rows.text.to_pylist():
            if text is not None and self.word in text:
                raise ArithmeticError(f"cannot take {text[:20]!r}")
        return rows


class Drop(Filter):
    """Drops texts that hold a certain word."""

    op: str = "drop"
    word: str = "drop"

    def judge(self, rows: Rows, chance: Chance) -> Verdicts:
        """Drop for the reason `unwanted`."""
        found = [text is not None and self.word in text for text in rows.text.to_pylist()]
        code, none = np.array(found, np.int16), np.full(len(found), np.nan)
        return Verdicts(code, ("unwanted",), none, none)


@dataclass(frozen=True)
class Outcome:
    """What a job left in its work folder."""

    work: Path
    steps_run: tuple[Step, ...]

    @cached_property
    def written(self) -> tuple[WrittenFile, ...]:
        """The files, each with rows and sha256."""
        return read_written(str(self.work))

    @cached_property
    def summary(self) -> OutputSummary:
        """What the planner found."""
        return read_summary(str(self.work))

    @property
    def digests(self) -> dict[str, str]:
        """The sha256 of each file."""
        return {one.file: one.sha256 for one in self.written}

    def balance(self) -> tuple[RowCounts, list[StepCounts]]:
        """Return the checked figures of the run and of each step."""
        return balanced(self.summary, self.written, [step.op for step in self.steps_run])

    def rows(self, split: str = "train") -> pa.Table:
        """Return the rows of a split in the order of its files."""
        return read_shards(self.work / "out" / split)

    def ledger(self) -> list[dict[str, Any]]:
        """Return all ledger records."""
        return read_ledger(self.work / "out")


def read_shards(folder: Path) -> pa.Table:
    """Return the rows of all shards in a folder."""
    tables = []
    for path in sorted(folder.glob("*.arrow")):
        with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as stream:
            tables.append(stream.read_all())
    return pa.concat_tables(tables)


def read_ledger(out: Path) -> list[dict[str, Any]]:
    """Return the ledger of an output folder."""
    parts = sorted((out / "_curate" / "ledger").glob("*.parquet"))
    return list(pa.concat_tables([pq.read_table(part) for part in parts]).to_pylist())


def run_job(
    work: Path,
    read: Any,
    steps: Sequence[Step] = (),
    *,
    seed: int = 0,
    target_bytes: int = TASK_BYTES,
    shard_bytes: int = 256_000_000,
    limit: int | None = None,
    required: tuple[str, ...] = ("text",),
    shuffle: int | None = None,
) -> Outcome:
    """Plan and run a job in one process; `shuffle` seeds the order in which messages arrive."""
    plan = make_plan(read, target_bytes=target_bytes, limit=limit)
    plan.save(f"{work}/{PLAN_FILE}")
    job = Job(
        read=read,
        steps=tuple(steps),
        seed=seed,
        work=str(work),
        tasks=len(plan.tasks),
        spools=any(task.spool for task in plan.tasks),
        required=required,
        shard_bytes=shard_bytes,
    )
    messages = list(first_messages(job.tasks))
    for _, part, _ in rounds_of(job):
        if shuffle is not None:
            random.Random(shuffle).shuffle(messages)
        messages = run_rounds(messages, [part])
    assert messages == []
    return Outcome(work, job.steps)
