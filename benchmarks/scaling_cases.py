"""What `benchmarks.scaling` runs: each step alone, at growing sizes and with other options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from pydantic import TypeAdapter

from benchmarks.observation import TINY
from pipelines.steps import STEPS, AnyStep
from pipelines.steps.step import Step
from pipelines.steps.text.language import CODES

Options = Mapping[str, Any]

SMALL = (TINY, 10_000, 100_000)
FULL = (*SMALL, 1_000_000)
LONG = (*FULL, 10_000_000)
AT = (100_000,)
"""One size: for other options."""


@dataclass(frozen=True)
class Case:
    """A recipe of one step or none on one kind of corpus."""

    corpus: str
    steps: tuple[Options, ...]
    rows: tuple[int, ...]
    workers: int = 1

    @property
    def op(self) -> str:
        """Return the op that is measured, empty for reading and writing alone."""
        return str(self.steps[-1]["op"]) if self.steps else ""

    @property
    def title(self) -> str:
        """Return what is run, in one line."""
        said = [
            " ".join([step["op"], *(f"{k}={_short(v)}" for k, v in step.items() if k != "op")])
            for step in self.steps
        ]
        processes = f", {self.workers} processes" if self.workers > 1 else ""
        return f"{' → '.join(said) or 'read, write'} ({self.corpus}{processes})"

    def parsed(self) -> list[Step]:
        """Return the steps as a recipe has them."""
        adapter: TypeAdapter[Step] = TypeAdapter(AnyStep)
        return [adapter.validate_python(dict(step)) for step in self.steps]

    def runs_here(self) -> bool:
        """Tell whether the step exists and the packages it needs are installed."""
        if not self.op:
            return True
        if self.op not in STEPS:
            return False
        return all(find_spec(name) for step in self.parsed() for name in step.packages()[1])


def _short(value: Any) -> str:
    return "…" if isinstance(value, tuple) and len(value) > 1 else str(value)


def one(corpus: str, op: str, at: tuple[int, ...] = FULL, workers: int = 1, **options: Any) -> Case:
    """Return a case of one step."""
    return Case(corpus, ({"op": op, **options},), at, workers)


V = {"column": "embedding"}
TARGET = "TARGET"
"""Stands for the path of a small corpus."""
CASES: tuple[Case, ...] = (
    Case("text", (), FULL),
    Case("long", (), AT),
    Case("lines", (), FULL[1:]),
    Case("short", (), (10_000, 100_000, 1_000_000, 10_000_000)),
    Case("vectors", (), (10_000, 100_000, 1_000_000)),
    Case("wide", (), AT),
    Case("images", (), (10_000, 100_000)),
    # row steps
    *(
        one(corpus, op, rows, **options)
        for op, options in (
            ("normalize_text", {}),
            ("word_count", {"at_least": 1}),
            ("char_count", {"at_least": 1}),
            ("embed", {}),
        )
        for corpus, rows in (("text", FULL), ("long", AT))
    ),
    one("text", "language", SMALL, at_least=0.0, keep=tuple(sorted(CODES))),
    one("long", "language", (10_000,), at_least=0.0, keep=tuple(sorted(CODES))),
    one("text", "split", FULL),
    *(
        one("text", "augment_text", (TINY, 2_000), method=method)
        for method in ("keyboard", "ocr", "spelling", "swap_words", "delete_words")
    ),
    one("vectors", "drop_columns", FULL, columns=("embedding",)),
    one("text", "embed", AT, dimensions=1024),
    one("text", "embed", (TINY, 1_000), model="minilm"),
    one("images", "embed", (TINY, 10_000), model="image"),
    one("photos", "embed", (2_000,), model="image"),
    one("images", "image_check", (TINY, 10_000)),
    one("photos", "image_check", (2_000,)),
    one("images", "augment_image", (TINY, 10_000)),
    one("photos", "augment_image", (2_000,)),
    # corpus steps
    one("short", "exact_dedup", (TINY, 10_000, 100_000, 1_000_000, 10_000_000)),
    one("long", "exact_dedup", AT),
    one("text", "near_dedup"),
    one("text", "near_dedup", AT, permutations=64),
    one("text", "near_dedup", AT, permutations=256),
    one("short", "near_dedup", AT),
    one("long", "near_dedup", AT),
    one("images", "image_near_dedup", (TINY, 10_000, 100_000)),
    one("photos", "image_near_dedup", (2_000,)),
    one("vectors", "semantic_dedup", FULL, **V),
    one("vectors", "semantic_dedup", AT, probes=1, **V),
    one("wide", "semantic_dedup", AT, **V),
    one("vectors", "drop_label_errors", FULL, at_most=0.001, **V),
    one("wide", "drop_label_errors", AT, at_most=0.001, **V),
    one("short", "sample", (TINY, 10_000, 100_000, 1_000_000, 10_000_000), fraction=0.9),
    one("lines", "line_dedup"),
    one("text", "substring_dedup"),
    one("long", "substring_dedup", AT),
    one("short", "select_top", by="quality", fraction=0.9),
    one("short", "mix", by="source", temperature=3.0),
    one("text", "dsir", target=TARGET, fraction=0.9),
    one("long", "dsir", AT, target=TARGET, fraction=0.9),
    one("vectors", "cluster_sample", fraction=0.9, **V),
    one("vectors", "cluster_sample", AT, fraction=0.9, clusters=1000, **V),
    one("wide", "cluster_sample", AT, fraction=0.9, **V),
    one("vectors", "prune_prototypes", fraction=0.9, **V),
    one("vectors", "prune_prototypes", AT, fraction=0.9, clusters=1000, **V),
    one("wide", "prune_prototypes", AT, fraction=0.9, **V),
    one("vectors", "k_center", rows=100, **V),
    one("vectors", "k_center", AT, rows=1000, **V),
    one("wide", "k_center", AT, rows=100, **V),
    # several processes
    Case("text", (), (TINY,), workers=2),
    one("text", "near_dedup", (1_000_000,), workers=2),
)

TEXT_RECIPE: tuple[Options, ...] = (
    {"op": "normalize_text"},
    {"op": "word_count", "at_least": 5},
    {"op": "exact_dedup"},
    {"op": "near_dedup"},
)
CHECKS: tuple[Case, ...] = (
    Case("text", TEXT_RECIPE, (300_000,)),
    Case("long", TEXT_RECIPE, (50_000,)),
    Case("text", TEXT_RECIPE, (300_000,), workers=2),
)
"""Recipes the model is not fitted to."""
