"""Why a row is in the output, or is not: the ledger in plain words."""

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from pipelines import files
from pipelines.errors import UserError
from pipelines.ledger.entries import FATES, LedgerRecord
from pipelines.steps.dedup.clusters.keepers import EARLIER
from pipelines.stores import check_store

LEDGER = "_curate/ledger"
LISTED = 20
"""Rows that name the asked one are all counted; so many are printed."""


@dataclass(frozen=True)
class Entry(LedgerRecord):
    """A ledger record in plain words."""

    def __str__(self) -> str:
        """The entry in plain words, without the id."""
        said = (self._kept, self._dropped, self._quarantined, self._derived)
        return said[FATES.index(self.fate)]()

    def _kept(self) -> str:
        return f"kept{self._in_split()}"

    def _dropped(self) -> str:
        said = f"dropped at {self._step()}: {self.reason}"
        if self.other is not None:
            said += f"{self._beside()} {self.other}"
        if self.value is not None:
            said += f" ({self._measured()})"
        return said if self.detail is None else f"{said}; {self.detail}"

    def _beside(self) -> str:
        """Return how the reason goes on to the row it names."""
        reason = self.reason or ""
        return " of" if "duplicate" in reason else " with" if "conflict" in reason else ":"

    def _measured(self) -> str:
        value = "" if self.value is None else f"{self.value:.4g}"
        name = "similarity " if self.other is not None else ""
        if self.value is None or self.threshold is None:
            return f"{name}{value}"
        if self.other is not None and self.value >= self.threshold:
            sign = "≥"
        else:
            sign = "<" if self.value < self.threshold else ">"
            sign = "=" if self.value == self.threshold else sign
        return f"{name}{value} {sign} {self.threshold:.4g}"

    def _quarantined(self) -> str:
        place = ", ".join(filter(None, (self.file, self.where)))
        said = f"quarantined at {self._step()}"
        return ": ".join(filter(None, (said, place, self.error)))

    def _derived(self) -> str:
        return f"derived from {self.other}{self._in_split()}"

    def _step(self) -> str:
        return " ".join(filter(None, (f"step {self.step}", self.op)))

    def _in_split(self) -> str:
        return f" (split {self.split})" if self.split else ""


@dataclass(frozen=True)
class Explanation:
    """All the ledger knows about one id."""

    id: str
    entries: tuple[Entry, ...]
    """The row; more than one entry where ids are not unique."""
    others: tuple[Entry, ...]
    """The rows it names: what it duplicates, or its parent."""
    named_by: tuple[Entry, ...]
    """The rows that name it: its duplicates and what was derived from it."""

    def lines(self) -> Iterator[str]:
        """Yield the explanation in plain words."""
        if len(self.entries) > 1:
            yield f"{len(self.entries)} rows have the id {self.id}:"
        for entry in self.entries:
            yield f"{self.id}: {entry}"
        for entry in self.others:
            yield f"  {entry.id}: {entry}"
        if self.named_by:
            rows = "row names" if len(self.named_by) == 1 else "rows name"
            yield f"{len(self.named_by):,} {rows} it:"
        for entry in self.named_by[:LISTED]:
            yield f"  {entry.id}: {entry}"
        if len(self.named_by) > LISTED:
            yield f"  … and {len(self.named_by) - LISTED:,} more (--json lists all)"

    def as_json(self) -> dict[str, Any]:
        """Return the explanation as plain data."""
        return asdict(self)


def explain_row(out: str | Path, row_id: str) -> Explanation:
    """Look a row up in the ledger of an output folder; reads only the columns and rows it needs.

    Raises:
        UserError: no ledger there, or no such id.
    """
    ledger = open_ledger(out)
    mine = (pc.field("id") == row_id) | (pc.field("other") == row_id)
    found = _entries(ledger.to_table(filter=mine))
    entries = tuple(entry for entry in found if entry.id == row_id)
    if not entries:
        near = _nearest(ledger, row_id)
        hint = f"; the nearest are {', '.join(near)}" if near else ""
        raise UserError(f"{out}: no row has the id {row_id!r}{hint}")
    here = [entry for entry in entries if EARLIER not in (entry.detail or "")]
    named = {entry.other for entry in here if entry.other is not None} - {row_id}
    others = ledger.to_table(filter=pc.field("id").isin(sorted(named))) if named else None
    return Explanation(
        id=row_id,
        entries=entries,
        others=tuple(_entries(others)) if others is not None else (),
        named_by=tuple(e for e in found if e.other == row_id and e.id != row_id),
    )


def open_ledger(out: str | Path) -> ds.Dataset:
    """Open the ledger of an output folder.

    Raises:
        UserError: the folder has none.
    """
    folder = files.join(check_store(str(out)), LEDGER)
    found = files.list_all(folder) if files.is_folder(folder) else []
    parts = sorted(name.rpartition("/")[2] for name in found if name.endswith(".parquet"))
    if not parts:
        raise UserError(
            f"{out}: no ledger in {folder}; give the folder that `curate run` wrote "
            "(`write: path` in the recipe)"
        )
    system, inside = files.arrow_system(folder)
    return ds.dataset([files.join(inside, n) for n in parts], format="parquet", filesystem=system)


def _entries(table: pa.Table) -> list[Entry]:
    names = [name for name in Entry.__dataclass_fields__ if name in table.column_names]
    ordered = table.select(names).sort_by([("key", "ascending"), ("step", "ascending")])
    return [Entry(**_without_nan(row)) for row in ordered.to_pylist()]


def _without_nan(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in row.items()
    }


def _nearest(ledger: ds.Dataset, row_id: str, most: int = 5, pool: int = 2000) -> list[str]:
    """Return the ids most like `row_id`, among those that share the longest beginning with it.

    One pass a step of halving over the id column; only `pool` ids are compared letter by letter.
    """
    length = len(row_id)
    candidates: list[str] = []
    while length and not candidates:
        length = length * 3 // 4
        begins = pc.starts_with(pc.field("id"), row_id[:length])
        candidates = _column(ledger.scanner(columns=["id"], filter=begins).head(pool))
    return difflib.get_close_matches(row_id, dict.fromkeys(candidates), n=most, cutoff=0.5)


def _column(table: pa.Table) -> list[str]:
    ids: Iterable[str] = table["id"].to_pylist()
    return list(ids)
