"""Sorted runs of ranked rows, and the tables by which shards and the place of a cut talk.

A run holds the ranked rows of one shard as arrays, best first within each group: `group`, the rank
(`order`, `hash`, `_key`), `weight`. `pipelines.maths.select.budget` explains how a cut is found.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.exchange.mail import Message, home, message, scatter
from pipelines.maths.arrays import Int64, Mask, UInt64
from pipelines.maths.select.budget import Ranks, block_length, block_starts, locate
from pipelines.rows import HOME, KEY

Run = dict[str, npt.NDArray[Any]]

_RANK = ("order", "hash", KEY)
_FIRST = ("first_order", "first_hash", "first_key")
_LAST = ("last_order", "last_hash", "last_key")


def sorted_run(ranked: pa.Table) -> Run:
    """Return ranked rows sorted by group and rank."""
    columns = {name: ranked[name].to_numpy() for name in ("group", *_RANK, "weight")}
    best_first = np.lexsort([columns[name] for name in (*reversed(_RANK), "group")])
    return {name: values[best_first] for name, values in columns.items()}


def ranks_of(run: Run) -> Ranks:
    """Return the ranks of the rows of a run."""
    return _ranks(run, _RANK)


def blocks_of(run: Run, number: int) -> pa.Table:
    """Return the blocks of the run of shard `number`: where they begin and end, their weight."""
    length = block_length(len(run["group"]))
    return _blocks(run, number, block_starts(run["group"], length))


def group_sizes(blocks: pa.Table) -> pa.Table:
    """Return the rows and the weight of each group, by ascending group."""
    groups, line = np.unique(blocks["group"].to_numpy(), return_inverse=True)
    sums = {name: _sums(blocks[name], line, len(groups)) for name in ("rows", "weight")}
    return pa.table({"group": groups, **sums})


def between(blocks: pa.Table, budgets: pa.Table) -> pa.Table:
    """Return between which ranks the cut of each group lies, both included."""
    first, last = _ranks(blocks, _FIRST), _ranks(blocks, _LAST)
    line = group_lines(budgets, blocks["group"].to_numpy())
    cuts = locate(line, blocks["weight"].to_numpy(), first, last, budgets["budget"].to_numpy())
    return pa.table(
        {
            "group": budgets["group"],
            "all_kept": cuts.first_out < 0,
            **_columns(first.take(cuts.first_out), _FIRST),
            **_columns(last.take(cuts.sure_out), _LAST),
        }
    )


def singles_of(run: Run, number: int, known: pa.Table) -> pa.Table:
    """Return, for each group, what is surely kept as one block, and each undecided row as a block.

    A group without either has its first row as a block, so that the shard is told about its cut.
    """
    ranks, line = ranks_of(run), group_lines(known, run["group"])
    all_kept = known["all_kept"].to_numpy()[line]
    sure = all_kept | ranks.before(_ranks(known, _FIRST).take(line))
    behind = ~all_kept & _ranks(known, _LAST).take(line).before(ranks)
    new = np.ones(len(line), dtype=np.bool_)
    new[1:] = line[1:] != line[:-1]
    told = new | ~behind
    run = {name: values[told] for name, values in run.items()}
    return _blocks(run, number, np.flatnonzero((new | ~sure)[told]))


def cut_groups(singles: pa.Table, budgets: pa.Table) -> pa.Table:
    """Return where the cut of each group lies and how much lies before it.

    Columns besides those of `budgets`: all_kept, the rank of the first row not kept, cut_order (the
    order of the last row kept, 0 where there is none), kept_rows, kept_weight.
    """
    line = group_lines(budgets, singles["group"].to_numpy())
    first, last = _ranks(singles, _FIRST), _ranks(singles, _LAST)
    cuts = locate(line, singles["weight"].to_numpy(), first, last, budgets["budget"].to_numpy())
    all_kept, first_out = cuts.first_out < 0, first.take(cuts.first_out)
    kept = all_kept[line] | last.before(first_out.take(line))
    inside, line = singles.filter(pa.array(kept)), line[kept]
    found = {
        "all_kept": all_kept,
        **_columns(first_out, _FIRST),
        "cut_order": np.where(cuts.last_in < 0, np.uint64(0), last.order[cuts.last_in]),
        "kept_rows": _sums(inside["rows"], line, len(budgets)),
        "kept_weight": _sums(inside["weight"], line, len(budgets)),
    }
    return pa.table({**{name: budgets[name] for name in budgets.column_names}, **found})


def outside(run: Run, found: pa.Table) -> tuple[Mask, Int64]:
    """Return which rows of a run lie behind the cut, and the line of `found` of each row."""
    line = group_lines(found, run["group"])
    inside = ranks_of(run).before(_ranks(found, _FIRST).take(line))
    return ~(found["all_kept"].to_numpy()[line] | inside), line


def group_lines(table: pa.Table, groups: UInt64) -> Int64:
    """Return the line of each group in a table that has one line per group, in any order."""
    names = table["group"].to_numpy()
    order = np.argsort(names)
    return np.asarray(order[np.searchsorted(names, groups, sorter=order)])


def tell(blocks: pa.Table, known: pa.Table, kind: str) -> Iterator[Message]:
    """Send to each shard that posted blocks those lines of `known` that are about its groups."""
    homes, shard = np.unique(blocks[HOME].to_numpy(), return_inverse=True)
    pairs = np.unique(shard * len(known) + group_lines(known, blocks["group"].to_numpy()))
    told = known.take(pa.array(pairs % len(known)))
    for address, part in scatter(told, homes[pairs // len(known)], home):
        yield message(address, kind, part)


def _blocks(run: Run, number: int, starts: Int64) -> pa.Table:
    """Return the blocks of a run that begin at `starts`."""
    ranks, stops = ranks_of(run), np.append(starts[1:], len(run["group"]))
    return pa.table(
        {
            "group": run["group"][starts],
            HOME: np.full(len(starts), number, np.int64),
            "rows": stops - starts,
            "weight": np.add.reduceat(run["weight"], starts),
            **_columns(ranks.take(starts), _FIRST),
            **_columns(ranks.take(stops - 1), _LAST),
        }
    )


def _ranks(columns: Mapping[str, Any] | pa.Table, names: tuple[str, ...]) -> Ranks:
    return Ranks(*(np.asarray(columns[name]) for name in names))


def _columns(ranks: Ranks, names: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
    return dict(zip(names, (ranks.order, ranks.hash, ranks.key), strict=True))


def _sums(values: pa.ChunkedArray, line: Int64, groups: int) -> Int64:
    """Return the sum of integers by group; exact, unlike sums of floats."""
    sums = np.zeros(groups, np.int64)
    np.add.at(sums, line, values.to_numpy())
    return sums
