"""Where the design breaks first as a corpus grows: each place with its number.

Nothing here was run at that size. Each limit is a formula over the corpus with the constants of
the code it speaks of; where it is reached follows from the formula.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from curate.plan.costs import Costs, Size, estimate_part, total_of
from pipelines.maths.sets.minhash import plan_bands
from pipelines.maths.vectors.unit_vectors import plan_cells
from pipelines.readers.read_plan import TASK_BYTES
from pipelines.rows.keys import MAX_FILES
from pipelines.steps.dedup.semantic_dedup import SemanticDedup

MESSAGE_BYTES = 600
"""Arrow's schema and framing in a message, whatever it holds."""
BAND_SHARDS = 16
"""Shards for each partition of a band in `PairDedup`."""
DIGEST_PARTITIONS = 512
"""Most places where the digests of `exact_dedup`, lines and fingerprints meet."""
IN_MEMORY = 4
"""Bytes in memory for one that arrived: payloads, tables, sort order, what is taken from them."""
REPORT_MEMORY = 25_000
"""Bytes in memory of what one shard tells the planner: 5 kB of JSON."""
COMPARISON = 2.2e-8
"""Seconds the planner takes to see whether one shard has rows of one file."""
LEDGER_RATE = 1.7e6
"""Ledger rows that one process reads in a second."""
MEMBER_BYTES = 200
"""Of a row of a cluster, where the cluster meets."""
LINE_BYTES = 60
WORKER_MEMORY = 16e9
HOUR = 3600.0


@dataclass(frozen=True)
class Corpus:
    """A corpus on paper."""

    rows: float
    row_bytes: float
    dimensions: int = 256
    file_bytes: float = 256e6
    """Size of an input file, and of an output file."""

    @property
    def bytes(self) -> float:
        return self.rows * self.row_bytes

    @property
    def shards(self) -> float:
        return max(1.0, self.bytes / TASK_BYTES)

    @property
    def size(self) -> Size:
        stored = self.row_bytes + 4 * self.dimensions
        return Size(self.rows, self.row_bytes, stored, self.dimensions)


@dataclass(frozen=True)
class Limit:
    """One place that breaks."""

    name: str
    where: str
    measure: Callable[[Corpus], float]
    bound: float
    unit: str
    """How both are told: bytes, seconds, or what is counted."""
    why: str
    way_out: str

    @property
    def plain(self) -> bool:
        """Whether the unit says more than how to write the number."""
        return self.unit not in ("bytes", "seconds")

    def reached_at(self, corpus: Corpus) -> float | None:
        """Return the rows, of the same size, at which the bound is met; None if never."""
        low, high = 3.0, 16.0
        if self.measure(replace(corpus, rows=10**high)) < self.bound:
            return None
        for _ in range(60):
            middle = (low + high) / 2
            reached = self.measure(replace(corpus, rows=10**middle)) >= self.bound
            low, high = (low, middle) if reached else (middle, high)
        return float(10**high)


def small_messages(corpus: Corpus) -> float:
    """Return bytes of framing for each byte of bands in the shuffle of `near_dedup`."""
    rows = corpus.rows / corpus.shards
    partitions = max(1.0, corpus.shards // BAND_SHARDS)
    addresses = partitions * -np.expm1(-rows / partitions)  # those that some row goes to
    return float(addresses * MESSAGE_BYTES / (rows * 28))


def limits(costs: Costs) -> list[Limit]:
    """Return all limits."""

    def at_a_digest(corpus: Corpus) -> float:
        moved = total_of(costs.steps["exact_dedup"].shuffled, {"rows": corpus.rows})
        return moved / DIGEST_PARTITIONS * IN_MEMORY

    def semantic_share(corpus: Corpus) -> float:
        step = SemanticDedup()
        cost = estimate_part(costs.steps["semantic_dedup"], step, corpus.size).cpu
        small = replace(corpus, rows=1e6)
        once = estimate_part(costs.steps["semantic_dedup"], step, small.size).cpu
        return cost / corpus.rows / (once / small.rows)

    bands = plan_bands(0.8, 128)[0]
    return [
        Limit(
            "small messages",
            "`near_dedup`, first shuffle",
            small_messages,
            1.0,
            "x the payload",
            f"a shard posts to {bands} bands x shards/{BAND_SHARDS} partitions; a message has "
            f"{MESSAGE_BYTES} bytes of framing",
            "larger read tasks for larger corpora, so that shards grow with the square root",
        ),
        Limit(
            "planner's memory",
            "the round `plan`, one address",
            lambda c: c.shards * REPORT_MEMORY,
            WORKER_MEMORY,
            "bytes",
            "every shard reports to one planner, 5 kB of JSON each",
            "larger read tasks; or reports summed in a tree",
        ),
        Limit(
            "planner's time",
            "`_data_orders`: output files x shards",
            lambda c: c.bytes / c.file_bytes * c.shards * COMPARISON,
            HOUR,
            "seconds",
            "each output file looks through all shards for its pieces",
            "a binary search of the sorted offsets: one line",
        ),
        Limit(
            "last look at the ledger",
            "report and card, in the process that started the run",
            lambda c: 2 * c.rows / LEDGER_RATE,
            HOUR,
            "seconds",
            "examples for the report are picked from the whole ledger, read twice by one process",
            "each ledger file names its own candidates when it is written",
        ),
        Limit(
            "digests in one place",
            f"`exact_dedup`: at most {DIGEST_PARTITIONS} partitions",
            at_a_digest,
            WORKER_MEMORY,
            "bytes",
            "what is addressed to one partition is sorted in memory",
            "more partitions: a constant",
        ),
        Limit(
            "a giant cluster",
            "dedup by pairs, the last round: a cluster meets in one place",
            lambda c: 0.01 * c.rows * MEMBER_BYTES * IN_MEMORY,
            WORKER_MEMORY,
            "bytes",
            "if one cluster, such as a boilerplate page, holds 1 % of all rows",
            "`exact_dedup` and `line_dedup` first: giant clusters are mostly equal texts",
        ),
        Limit(
            "cells of `semantic_dedup`",
            f"at most {plan_cells(10**12):,} cells: then rows a cell grow with the corpus",
            semantic_share,
            10.0,
            "x the CPU a row at 1 M rows",
            "vectors of a cell are compared all with all: quadratic from there on",
            "two levels of cells",
        ),
        Limit(
            "64-bit hashes of lines",
            "`line_dedup`, `substring_dedup`",
            lambda c: c.bytes / LINE_BYTES / 2.0**65 * 1e9,
            1.0,
            "of a billion lines cut by mistake",
            f"birthday bound: n² / 2^65 pairs of n different lines of {LINE_BYTES} bytes",
            "128 bits, for 8 bytes a line more",
        ),
        Limit(
            "128-bit digests of rows",
            "`exact_dedup`",
            lambda c: c.rows**2 / 2.0**129,
            1e-6,
            "rows dropped by mistake, expected",
            "birthday bound: n² / 2^129",
            "none needed",
        ),
        Limit(
            "key space",
            f"position keys: {MAX_FILES:,} files of 64 GiB",
            lambda c: c.bytes / c.file_bytes / MAX_FILES,
            1.0,
            "of the file numbers (256 MB files)",
            "20 bits of a key number the file",
            "larger files: 36 bits are positions",
        ),
    ]
