"""Run a corpus step without Beam: rows cut any way into shards and batches, verdicts by id."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from pipelines.exchange.mail import (
    MEASURE,
    NOTE,
    PLAN,
    home_number,
    message_kind,
    open_mail,
    run_rounds,
)
from pipelines.exchange.shards import member
from pipelines.rows import ID, KEY, Columns, Rows
from pipelines.rows.chance import Chance
from pipelines.rows.keys import pack
from pipelines.steps.corpus import EDIT, VERDICT, Corpus, Site

Cut = Sequence[Sequence[int]]
"""Batch sizes of each shard; the last batch of the last shard takes what is left."""
WHOLE_CUT: Cut = ((1 << 30,),)


class Verdict(NamedTuple):
    """Why a row is dropped."""

    reason: str
    value: float | None
    threshold: float | None
    other: str | None
    detail: str | None


@dataclass(frozen=True)
class MemorySite(Site):
    """A site whose shards lie in memory."""

    held: dict[int, list[Rows]] = field(default_factory=dict)

    def rows(self, number: int, keys: np.ndarray | None = None) -> Iterator[Rows]:
        for rows in self.held[number]:
            fresh = Rows(rows.table, rows.columns)
            wanted = fresh if keys is None else fresh.filter(member(fresh.keys, keys))
            if len(wanted):
                yield wanted


def make_rows(ids: Sequence[str] | None = None, order: Sequence[int] | None = None, **columns):
    """Return rows in `order`; text, image and label columns take their roles."""
    table = pa.table(columns)
    names = [f"r{i:05d}" for i in range(len(table))] if ids is None else list(ids)
    table = table.append_column(ID, pa.array(names, pa.string()))
    if order is not None:
        table = table.take(pa.array(order))
    table = table.append_column(KEY, pa.array(pack(0, np.arange(len(table)))))
    roles = {role: role for role in ("text", "image", "label") if role in columns}
    return Rows(table, Columns(**roles))


def shards_of(rows: Rows, cut: Cut) -> dict[int, list[Rows]]:
    """Cut rows into shards of batches; shard numbers have gaps, as those of the engine."""
    shards: dict[int, list[Rows]] = {}
    start = 0
    for number, sizes in enumerate([*cut, (len(rows),)]):
        for size in sizes:
            batch = rows.slice(start, size)
            if len(batch):
                shards.setdefault(number * 4096, []).append(batch)
            start += len(batch)
    return shards


def cuts(rows: int) -> st.SearchStrategy[Cut]:
    """Any way to cut about `rows` rows."""
    return st.lists(st.lists(st.integers(1, rows), min_size=1, max_size=4), max_size=5)


def decide(
    step: Corpus, rows: Rows, work: object, cut: Cut = WHOLE_CUT, seed: int = 0, arrival: int = 0
) -> dict[str, Verdict]:
    """Return the verdicts of a step by row id; `arrival` shuffles the mail of every round."""
    return decide_and_note(step, rows, work, cut, seed, arrival)[0]


def decide_and_note(
    step: Corpus, rows: Rows, work: object, cut: Cut = WHOLE_CUT, seed: int = 0, arrival: int = 0
) -> tuple[dict[str, Verdict], int]:
    """Return the verdicts and the sum of the counts of all notes."""
    outcome = play(step, rows, work, cut, seed, arrival)
    assert not outcome.edited, "use `play` for a step that edits"
    return outcome.verdicts, outcome.noted


@dataclass
class Outcome:
    """What a step does to a corpus."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    edited: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Each row that was edited, without its key, by id."""
    noted: int = 0
    """Sum of the counts of all notes."""
    measured: dict[str, float] = field(default_factory=dict)


def play(
    step: Corpus, rows: Rows, work: object, cut: Cut = WHOLE_CUT, seed: int = 0, arrival: int = 0
) -> Outcome:
    """Return all that a step does; `arrival` shuffles the mail of every round."""
    held = shards_of(rows, cut)
    site = MemorySite(str(work), "s0", Chance(seed, 1), len(held), held=held)
    mail = []
    for number, batches in held.items():
        signed = pa.concat_tables([step.sign(batch, site.chance) for batch in batches])
        mail += step.send(signed, number, len(held))
    lot = np.random.default_rng(arrival)
    for part in step.rounds(site):
        mail = run_rounds([mail[i] for i in lot.permutation(len(mail))], [part])
    outcome = Outcome()
    edits: dict[int, list[bytes]] = {}
    for address, payload in mail:
        if address == PLAN:
            _enter(outcome, payload)
            continue
        assert address.startswith("shard:"), address
        number = home_number(address)
        if message_kind(payload) == EDIT:
            edits.setdefault(number, []).append(payload)
            continue
        assert message_kind(payload) == VERDICT, message_kind(payload)
        name = {}
        for batch in held[number]:
            name.update(zip(batch.keys.tolist(), batch.ids.to_pylist(), strict=True))
        for verdict in open_mail([payload])[VERDICT].to_pylist():
            row_id = name[verdict.pop(KEY)]
            assert row_id not in outcome.verdicts, f"two verdicts on {row_id}"
            outcome.verdicts[row_id] = Verdict(**verdict)
    for number, payloads in edits.items():
        table = open_mail(payloads)[EDIT].sort_by(KEY)
        for changed in _edited(step, held[number], table, site.chance):
            outcome.edited[changed.pop(ID)] = changed
    assert not outcome.edited.keys() & outcome.verdicts.keys(), "edited and dropped"
    return outcome


def _enter(outcome: Outcome, payload: bytes) -> None:
    """Add up a note or some figures."""
    table = next(iter(open_mail([payload]).values()))
    if message_kind(payload) == NOTE:
        outcome.noted += sum(table["count"].to_pylist())
    elif message_kind(payload) == MEASURE:
        for name, value in zip(table["name"].to_pylist(), table["value"].to_pylist(), strict=True):
            outcome.measured[name] = outcome.measured.get(name, 0.0) + value


def _edited(
    step: Corpus, batches: list[Rows], edits: pa.Table, chance: Chance
) -> Iterator[dict[str, Any]]:
    """Yield the rows of one shard that have edits, as the engine edits them batch by batch."""
    assert step.edits, f"{step.op} does not say that it edits"
    told = 0
    for batch in batches:
        concerned = batch.filter(np.isin(batch.keys, edits[KEY].to_numpy()))
        if len(concerned):
            mine = edits.filter(pa.array(np.isin(edits[KEY].to_numpy(), batch.keys)))
            changed = step.edit(concerned, mine, chance)
            assert changed.keys.tolist() == concerned.keys.tolist()
            yield from changed.table.drop_columns([KEY]).to_pylist()
            told += len(mine)
    assert told == len(edits), "edits of rows that are not there"
