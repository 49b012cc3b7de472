"""Try several values of one option: run the steps up to it, and count what each value drops."""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import RunFailed
from curate.manifest import MANIFEST, Manifest, read_manifest
from curate.plan.numbers import parse_values
from curate.recipe.fieldtypes import arms
from curate.recipe.recipe import Recipe, load_recipe
from curate.report.examples import Example, Ledger, examples
from curate.run.run import ledger_of, run_recipe
from pipelines import files
from pipelines.errors import UserError, did_you_mean
from pipelines.ledger.entries import DROPPED, KEPT, LEDGER_SCHEMA
from pipelines.maths.arrays import Keys
from pipelines.readers.read_plan import fetch, make_plan
from pipelines.rows import Columns
from pipelines.steps.corpus import Corpus
from pipelines.stores import reached_by

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Swept:
    """What one value does."""

    value: str
    entered: int
    dropped: int
    quarantined: int
    """Rows that could not be read or processed, up to and by the step."""
    seconds: float
    """From start to end of its run; the first reads and signs what others take from the cache."""


@dataclass(frozen=True)
class Border:
    """Rows that one value drops and its neighbour keeps."""

    value: str
    """Drops them."""
    keeper: str
    """Keeps them."""
    rows: int
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Sweep:
    """What all values do."""

    step: int
    op: str
    option: str
    values: tuple[Swept, ...]
    borders: tuple[Border, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the sweep as plain data; of the examples, records and texts."""

        def pair(example: Example) -> dict[str, Any]:
            texts = (c and c.text for c in (example.content, example.other))
            return {**vars(example.record), **dict(zip(("text", "other_text"), texts, strict=True))}

        borders = [
            {**vars(border), "examples": [pair(example) for example in border.examples]}
            for border in self.borders
        ]
        return {**asdict(self), "borders": borders}


def sweep_recipe(
    path: str,
    overrides: tuple[str, ...],
    asked: str,
    *,
    workers: int | None = None,
    limit: int | None = None,
    cache: str | None = None,
    progress: Tell | None = None,
) -> Sweep:
    """Run the steps up to one option for each of its values; nothing of the output stays.

    Rows and signatures that do not depend on the value are computed once and kept in the cache.

    Args:
        path: the recipe.
        overrides: assignments on top of it.
        asked: `near_dedup.similarity=0.7..0.95:0.05`, `4.similarity=0.7,0.8`, or the option alone
            where one step has it.
        workers: local processes.
        limit: read only the first so many records.
        cache: folder that keeps rows and signatures for later sweeps and runs; removed if left out.
        progress: told in a few words what is going on.

    Raises:
        UserError: no such step or option, or values that it cannot have.
    """
    recipe: Recipe = load_recipe(path, overrides)
    number, option, values = parse_sweep(asked, recipe)
    tried = [
        _up_to(load_recipe(path, (*overrides, f"steps.{number}.{option}={value}")), number)
        for value in values
    ]  # all are checked before the first runs
    tell = progress or (lambda _: None)
    with reached_by(recipe.storage), tempfile.TemporaryDirectory(prefix="curate-sweep-") as folder:
        found: list[Swept] = []
        ledgers: list[Ledger] = []
        shares = any(isinstance(step, Corpus) for step in recipe.steps[:number])
        kept = cache or (f"{folder}/cache" if shares else None)
        for value, one in zip(values, tried, strict=True):
            tell(f"{option} {value} ({len(found) + 1} of {len(values)})")
            there = {"path": f"{folder}/{len(found)}", "overwrite": False}
            one = one.model_copy(update={"write": one.write.model_copy(update=there)})
            start = time.perf_counter()
            out, manifest = _run(one, workers, limit, kept)
            seconds = round(time.perf_counter() - start, 3)
            at, gone = manifest.steps[number], manifest.rows.quarantined
            found.append(Swept(value, at.entered, at.dropped, gone, seconds))
            ledgers.append(ledger_of(out, manifest))
        columns = manifest.columns
        borders = tuple(_borders(recipe, number, values, ledgers, columns, limit))
    return Sweep(number, recipe.steps[number - 1].op, option, tuple(found), borders)


def _run(
    recipe: Recipe, workers: int | None, limit: int | None, cache: str | None
) -> tuple[str, Manifest]:
    """Run a recipe and remove the rows it wrote; returns its folder and its manifest.

    An output that `run` would refuse, since no row is left or too many are quarantined, counts.
    """
    try:
        out = run_recipe(recipe, workers=workers, limit=limit, cache=cache).out
    except RunFailed:
        out = f"{recipe.write.path}.rejected"
        if not files.exists(f"{out}/{MANIFEST}"):
            raise
    manifest = read_manifest(out)
    keys = [one for step in manifest.keys or () for one in step.files]
    for one in (*manifest.shards, *keys):
        files.remove_file(f"{out}/{one.file}")
    return out, manifest


def parse_sweep(asked: str, recipe: Recipe) -> tuple[int, str, list[str]]:
    """Return the step, counted from 1, the option and its values.

    Raises:
        UserError: not of the form, no such step or option, or it stands more than once.
    """
    place, equals, values = asked.partition("=")
    *path, option = place.strip().removeprefix("steps.").split(".")
    if not equals or not option or len(path) > 1:
        raise UserError(
            f"--sweep {asked!r} is not of the form STEP.OPTION=VALUES, as in "
            "near_dedup.similarity=0.7..0.95:0.05"
        )
    steps = list(enumerate(recipe.steps, start=1))
    of = [
        number
        for number, step in steps
        if option in type(step).model_fields and (not path or path[0] in (step.op, str(number)))
    ]
    if len(of) != 1:
        have = [
            f"{number}.{name}"
            for number, step in steps
            for name in type(step).model_fields
            if name != "op" and (len(of) < 2 or name == option)
        ]
        names = [f"{step.op}.{name}" for _, step in steps for name in type(step).model_fields]
        what = f"stands {len(of)} times" if of else "is no option of the recipe's steps"
        raise UserError(
            f"--sweep: {place} {what}; there are: {', '.join(have) or 'no steps'}"
            f"{'' if of else did_you_mean(place, names)}"
        )
    kind = type(recipe.steps[of[0] - 1]).model_fields[option].annotation
    return of[0], option, parse_values(values, whole=arms(kind) == (int,))


def _up_to(recipe: Recipe, number: int) -> Recipe:
    return recipe.model_copy(update={"steps": recipe.steps[:number], "prove": None})


def _borders(
    recipe: Recipe,
    number: int,
    values: list[str],
    ledgers: list[Ledger],
    columns: Columns,
    limit: int | None,
) -> Iterator[Border]:
    """Yield what neighbouring values treat differently."""
    plan = make_plan(recipe.read, limit=limit)
    dropped = [_dropped(ledger, number) for ledger in ledgers]
    for i in range(len(values) - 1):
        for here, there in ((i, i + 1), (i + 1, i)):
            keys = np.setdiff1d(dropped[here], dropped[there], assume_unique=True)
            if len(keys):
                shown = examples(
                    _records(ledgers[here], number, keys),
                    lambda wanted: fetch(recipe.read, plan, wanted),
                    columns,
                )
                yield Border(values[here], values[there], len(keys), tuple(shown))


def _dropped(ledger: Ledger, number: int) -> Keys:
    """Return the keys of the rows that a step drops, ascending."""
    keys = [_of_step(part, number)["key"].to_numpy() for part in ledger]
    return np.sort(np.concatenate([np.empty(0, np.int64), *keys]))


def _of_step(part: pa.Table, number: int) -> pa.Table:
    return part.filter(pc.and_(pc.equal(part["step"], number), pc.equal(part["fate"], DROPPED)))


def _records(ledger: Ledger, number: int, keys: Keys) -> pa.Table:
    """Return the records of some dropped rows, and of the rows they duplicate, as if kept."""
    wanted = pa.array(keys, pa.int64())
    empty = LEDGER_SCHEMA.empty_table()
    of_step = [_of_step(part, number) for part in ledger]
    mine = pa.concat_tables([empty, *(p.filter(pc.is_in(p["key"], wanted)) for p in of_step)])
    others = mine["other"].drop_null().combine_chunks()
    found = pa.concat_tables([empty, *(p.filter(pc.is_in(p["id"], others)) for p in ledger)])
    at = LEDGER_SCHEMA.get_field_index("fate")
    found = found.set_column(at, LEDGER_SCHEMA.field(at), pa.repeat(KEPT, len(found)))
    return pa.concat_tables([mine, found])
