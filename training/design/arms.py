"""What is compared: each arm is a name, a claim about a cheap explanation, and one function."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from training.arrays import IntArray
from training.errors import UserError
from training.pool.data import PoolRows

AA_OFFSET = 1_000
"""Added to a seed for the `aa` arm, whose initialisation and order must be its own."""
LEAST_REMOVED = 50
"""Fewest removed rows for an `anti` arm."""
ATTRIBUTION = re.compile(r"(random@)?(without|only):(.+)")
AS_MANY = "random@"


@dataclass(frozen=True)
class Sources:
    """The datasets that arms draw from, as rows of one pool."""

    rows: dict[str, PoolRows]
    """raw and curated; oracle and the attribution datasets by name, where there are any."""
    copies: IntArray | None
    """Curated rows made from each raw row; None where rows can't be traced."""
    sizes: IntArray | None
    """Bytes of each distinct content of a text; None for images."""

    @property
    def raw(self) -> PoolRows:
        """Return the raw rows."""
        return self.rows["raw"]

    @property
    def curated(self) -> PoolRows:
        """Return the curated rows."""
        return self.rows["curated"]

    def bytes_of(self, rows: PoolRows) -> IntArray:
        """Return the bytes of each row's text."""
        assert self.sizes is not None
        return self.sizes[rows.x]

    def save(self, folder: Path) -> None:
        """Write everything into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, (name, rows) in enumerate(self.rows.items()):
            np.savez(folder / f"{number}.npz", name=np.array(name), x=rows.x, y=rows.y)
        for name, array in (("copies", self.copies), ("sizes", self.sizes)):
            if array is not None:
                np.save(folder / f"{name}.npy", array)

    @staticmethod
    def load(folder: Path) -> Sources:
        """Read what `save` wrote."""
        rows = {}
        for path in sorted(folder.glob("*.npz"), key=lambda path: int(path.stem)):
            with np.load(path) as found:
                rows[str(found["name"])] = PoolRows(found["x"], found["y"])
        others = {
            name: np.load(path) if (path := folder / f"{name}.npy").is_file() else None
            for name in ("copies", "sizes")
        }
        return Sources(rows, **others)


Draw = Callable[[np.random.Generator, Sources], PoolRows]


@dataclass(frozen=True)
class Arm:
    """One training set to compare, drawn afresh for each seed."""

    name: str
    says: str
    draw: Draw
    seed_offset: int = 0
    budget: Literal["equal steps", "equal epochs", "own"] = "equal steps"
    """own: compared with nothing, so neither steps nor bytes need to be those of the others."""
    fresh: str | None = None
    """Dataset of whose size a fresh random set is drawn for every pass."""
    recipe: Literal["", "augmented", "warm"] = ""
    """Which of the plan's recipes trains it; "" is the one of all main arms."""

    def rows(self, seed: int, sources: Sources) -> PoolRows:
        """Draw the arm's rows for `seed`; the same seed gives the same rows anywhere."""
        return self.draw(np.random.default_rng([seed, zlib.crc32(self.name.encode())]), sources)


def _dataset(name: str) -> Draw:
    return lambda rng, sources: sources.rows[name]


def _random_as(name: str) -> Draw:
    """Draw as many raw rows as `name` has, each once."""

    def draw(rng: np.random.Generator, sources: Sources) -> PoolRows:
        size = min(len(sources.rows[name]), len(sources.raw))
        return sources.raw.take(rng.choice(len(sources.raw), size=size, replace=False))

    return draw


def _random_bytes(rng: np.random.Generator, sources: Sources) -> PoolRows:
    """Draw raw rows in random order until they hold as many bytes as curated."""
    order = rng.permutation(len(sources.raw))
    filled = np.cumsum(sources.bytes_of(sources.raw)[order])
    enough = int(np.searchsorted(filled, sources.bytes_of(sources.curated).sum())) + 1
    return sources.raw.take(order[:enough])


def _random_by_class(rng: np.random.Generator, sources: Sources) -> PoolRows:
    """Draw as many raw rows of each class as curated has; repeat rows only where raw has fewer."""
    picks: list[IntArray] = []
    for label, wanted in zip(*np.unique(sources.curated.y, return_counts=True), strict=True):
        found = np.flatnonzero(sources.raw.y == label)
        copies, rest = divmod(int(wanted), len(found))
        picks += [np.tile(found, copies), rng.choice(found, size=rest, replace=False)]
    return sources.raw.take(np.concatenate(picks))


def _scrambled(rng: np.random.Generator, sources: Sources) -> PoolRows:
    """Give each raw row the fate (dropped, kept, kept with copies) of another, drawn at random."""
    assert sources.copies is not None
    fates = rng.permutation(sources.copies)
    return sources.raw.take(np.repeat(np.arange(len(fates)), fates))


def _anti(rng: np.random.Generator, sources: Sources) -> PoolRows:
    assert sources.copies is not None
    return sources.raw.take(sources.copies == 0)


ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("raw", "every raw row", _dataset("raw")),
        Arm("curated", "every curated row", _dataset("curated")),
        Arm("random@n", "random raw rows, as many as curated has", _random_as("curated")),
        Arm("random@bytes", "random raw rows, as many bytes as curated has", _random_bytes),
        Arm("random@n,class", "random raw rows in curated's class mix", _random_by_class),
        Arm("scrambled", "curation's decisions, given to other rows at random", _scrambled),
        Arm(
            "rs2@n",
            "a fresh random raw set of curated's size for every pass",
            _dataset("raw"),
            fresh="curated",
        ),
        Arm("anti", "the raw rows that curation removed", _anti, budget="own"),
        Arm("aa", "raw again with other seeds: its gap must be 0", _dataset("raw"), AA_OFFSET),
        Arm(
            "raw@epochs",
            "every raw row once, so more bytes",
            _dataset("raw"),
            budget="equal epochs",
        ),
        Arm(
            "curated@epochs",
            "curated for as many passes as raw, so another number of steps",
            _dataset("curated"),
            budget="equal epochs",
        ),
        Arm("oracle", "every raw row with its true label", _dataset("oracle")),
        Arm("raw+augmented", "raw with stronger augmentation", _dataset("raw"), recipe="augmented"),
        Arm(
            "curated+augmented",
            "curated with stronger augmentation",
            _dataset("curated"),
            recipe="augmented",
        ),
        Arm("raw+warm", "raw on a pretrained model", _dataset("raw"), recipe="warm"),
        Arm("curated+warm", "curated on a pretrained model", _dataset("curated"), recipe="warm"),
    )
}


def arm_named(name: str) -> Arm:
    """Return an arm by name: one of ARMS, an attribution dataset, or its random twin."""
    if name in ARMS:
        return ARMS[name]
    found = ATTRIBUTION.fullmatch(name)
    if not found:
        raise UserError(f"arm: {name!r} given; allowed: {', '.join(ARMS)}, without:…, only:…")
    twin, kind, step = found.groups()
    if twin:
        of = name.removeprefix(AS_MANY)
        return Arm(name, f"random raw rows, as many as {of} has", _random_as(of))
    says = f"all steps but {step}" if kind == "without" else f"no step but {step}"
    return Arm(name, says, _dataset(name))


def choose_arms(
    sources: Sources, *, also: Sequence[str] = (), one_pass: bool = False, untraced: str = ""
) -> tuple[list[Arm], dict[str, str]]:
    """Return the arms that can be drawn from these rows, and why each other is left out.

    Args:
        sources: what there is to draw from.
        also: extra recipes to train raw and curated with, "augmented" and "warm".
        one_pass: every byte is read once (a counting model), so arms are cut to equal bytes.
        untraced: why curated rows can't be traced to raw ones, if so.
    """
    left_out = dict(_left_out(sources, one_pass, untraced))
    wanted = [arm for arm in ARMS.values() if not arm.recipe or arm.recipe in also]
    for name in sources.rows:
        if ATTRIBUTION.fullmatch(name):
            wanted += [arm_named(name)] + ([] if one_pass else [arm_named(AS_MANY + name)])
    if "oracle" not in sources.rows:
        wanted = [arm for arm in wanted if arm.name != "oracle"]
    return [arm for arm in wanted if arm.name not in left_out], left_out


def _left_out(sources: Sources, one_pass: bool, untraced: str) -> Iterator[tuple[str, str]]:
    raw, curated = sources.raw, sources.curated
    if len(curated) >= len(raw):
        sizes = f"curated has {len(curated):,} rows and raw {len(raw):,}"
        yield "random@n", f"{sizes}: no smaller random set to draw"
        yield "rs2@n", sizes
    missing = np.setdiff1d(curated.y, raw.y)
    if len(missing):
        yield "random@n,class", f"raw has no row of {len(missing)} of curated's classes"
    if one_pass:
        same = "every arm is cut to the same bytes, so raw is its own random set of that size"
        yield from ((name, same) for name in ("random@n", "random@bytes", "rs2@n"))
    else:
        yield "raw@epochs", "equal steps are equal passes for raw"
        if len(curated) == len(raw):
            yield "curated@epochs", "curated is as long as raw: equal steps are equal epochs"
    if sources.sizes is None:
        yield "random@bytes", "images are compared by number"
    elif sources.bytes_of(curated).sum() >= sources.bytes_of(raw).sum():
        yield "random@bytes", "curated has as many bytes as raw: no smaller random set to draw"
    if sources.copies is None:
        yield "scrambled", untraced
        yield "anti", untraced
        return
    if (sources.copies == sources.copies[0]).all():
        yield "scrambled", "curation treated every row alike: there is no decision to permute"
    removed = int((sources.copies == 0).sum())
    if removed < LEAST_REMOVED:
        yield "anti", f"curation removed {removed:,} rows: too few to train on"
