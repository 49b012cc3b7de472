"""The test data of a proof: what the user gave, a split that is there, or a share held out."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.prove.prove_data import BUDGET, Given, Names, bring, given, reading
from curate.prove.prove_progress import Display
from curate.recipe.prove_section import Prove
from pipelines.errors import UserError
from training.pool.content_keys import content_keys, text_keys
from training.pool.shards import read_table

HELD_OUT = 0.2
"""Share of the distinct contents of raw that is held out where there is no test data."""
MOST_HELD_OUT = 10_000


def asked_tests(
    asked: Prove, place: Path, names: Names, display: Display, *, main: bool = True
) -> dict[str, Path]:
    """Bring the test sets and the validation data that are asked for."""
    paths = {"test": asked.test} if main else {}
    paths |= {f"test:{name}": path for name, path in asked.tests.items()}
    paths |= {"validation": asked.validation} if asked.validation else {}
    found = {}
    for role, path in paths.items():
        folder = place / role.replace(":", "-")
        if role == "test" and asked.format is not None:
            found[role] = bring(reading(path, asked.format, names), folder, BUDGET, display.tell)
            continue
        side = given(role, path)
        split = role.partition(":")[0]
        found[role] = side.bring(
            split if split in side.splits else "train", folder, names, display.tell
        )
    return found


def own_test(
    sides: tuple[Given, Given],
    asked: Prove,
    raw: Path,
    place: Path,
    names: Names,
    display: Display,
) -> tuple[dict[str, Path], str | None]:
    """Return test data out of the two datasets, and why that is late, if it is."""
    for side in sides:
        if not side.has_test:
            continue
        display.note(f"test: the test split of {side.path}")
        late = "The test rows are a split of the curated data, so curation has seen them."
        folder = side.bring("test", place / "test", names, display.tell)
        return {"test": folder}, late if side.role == "curated" else None
    display.tell("holding out test rows of raw")
    rows = hold_out(raw, str(names[asked.content]), place / "held-out")
    late = f"The {rows:,} test rows were held out of raw, so curation has seen them."
    display.note(f"test: none is given. {late} (--test names data that it never saw)")
    return {"test": place / "held-out"}, late


def hold_out(raw: Path, content: str, place: Path) -> int:
    """Write a share of the distinct contents of raw as test data; returns how many.

    A fifth, 10,000 at most, by a hash of the content: the same ones at each call, and copies of a
    text that differ in case and space count as one. What stands in it leaves every training set
    when the pool of the proof is made. Costs a pass over raw; nothing of raw is changed.

    Raises:
        UserError: raw has no such column.
    """
    table = read_table("raw", raw)
    if content not in table.column_names:
        raise UserError(
            f"raw: {raw} has no column {content!r}; it has {', '.join(table.column_names)}; name "
            "it with --text or --image"
        )
    table = table.filter(pc.is_valid(table[content]))
    keys = np.concatenate([_keys(chunk) for chunk in table[content].chunks])
    distinct, first = np.unique(keys, return_index=True)
    share = min(HELD_OUT, MOST_HELD_OUT / max(len(distinct), 1))
    chosen = np.sort(first[_lot(distinct) < share])
    place.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(place / "data-00000-of-00001.arrow"), "wb") as file:
        writer = pa.ipc.new_stream(file, table.schema)
        with writer:
            writer.write_table(table.take(pa.array(chosen)))
    return len(chosen)


def _keys(column: pa.Array) -> npt.NDArray[np.uint64]:
    if pa.types.is_struct(column.type):
        column = pc.struct_field(column, "bytes")
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return text_keys(column)
    return content_keys(pc.fill_null(column, b""))


def _lot(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Return a number in [0, 1) for each key; mixed, so that other lots drawn by key are others."""
    mixed = (keys ^ (keys >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53
