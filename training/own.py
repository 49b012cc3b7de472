"""Bring your own trainer: a function from rows, seed and budget to a score for each test row."""

import hashlib
import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from training.design.arms import Sources, arm_named
from training.design.plan import ProofPlan, TrainingJob
from training.errors import UserError
from training.pool.data import Pool, PoolRows
from training.pool.shards import is_held
from training.runs.bench import Outcome, part, write_run


@dataclass(frozen=True)
class LabelledRows:
    """Labelled rows, as a trainer of one's own gets them."""

    content: pa.Array
    """Texts (large_string) or encoded images (large_binary)."""
    labels: pa.Array
    """Label names (large_string); empty strings where a language model has none."""

    def __len__(self) -> int:
        return len(self.content)

    def texts(self) -> list[str]:
        """Return the contents as a list."""
        return list(self.content.to_pylist())

    def codes(self, names: tuple[str, ...]) -> npt.NDArray[np.int64]:
        """Return labels as indices into `names`."""
        found = pa.compute.index_in(self.labels, pa.array(names, pa.large_string()))
        return np.asarray(found.to_numpy(), dtype=np.int64)


@dataclass(frozen=True)
class RunBudget:
    """What a run may spend, the same in every compared arm, and what it is tested on."""

    examples: int
    """Examples to see, repeats included: optimizer steps × batch."""
    tests: Mapping[str, LabelledRows]
    """Test sets by name; "test" is the main one, "validation" is for choosing and stopping."""
    names: tuple[str, ...]
    """All label names, sorted."""


Scores = npt.ArrayLike | Mapping[str, npt.ArrayLike]
Train = Callable[[LabelledRows, int, RunBudget], Scores]
"""train(rows, seed, budget) → a score for each row of `budget.tests["test"]`, higher is better,
such as 1 for a right answer and 0 for a wrong one; or such scores by name of the test set."""


def name_of(train: Callable[..., Any]) -> str:
    """Return a name of a trainer that changes when its source does, as far as Python tells."""
    if isinstance(train, partial):
        inner = name_of(train.func)
        given = hashlib.sha256(repr((train.args, sorted(train.keywords.items()))).encode())
        return f"{inner} {given.hexdigest()[:12]}"
    name = getattr(train, "__qualname__", type(train).__name__)
    said = getattr(train, "says", "")
    try:
        source = inspect.getsource(train if inspect.isroutine(train) else type(train))
    except (OSError, TypeError):
        source = ""
    return f"{name} {hashlib.sha256((source + said).encode()).hexdigest()[:12]}"


class OwnMaker:
    """Makes runs with a trainer of one's own, in this process, one after another."""

    def __init__(
        self, train: Train, plan: ProofPlan, pool: Pool, sources: Sources, out: Path
    ) -> None:
        self.run, self.plan, self.pool, self.sources, self.out = train, plan, pool, sources, out
        held = [name for name in pool.rows if is_held(name)]
        self.tests = {name: self.examples(pool.rows[name]) for name in held}

    def examples(self, rows: PoolRows) -> LabelledRows:
        """Return rows with their contents and label names."""
        names = pa.array(self.pool.labels, pa.large_string())
        return LabelledRows(self.pool.distinct.take(pa.array(rows.x)), names.take(pa.array(rows.y)))

    def train(self, job: TrainingJob) -> None:
        """Make one run and write it.

        Raises:
            UserError: the trainer returned something else than a score for each test row.
        """
        arm = arm_named(job.arm)
        rows = part(arm.rows(job.seed, self.sources), job)
        seen = self.plan.steps * job.share * job.steps
        if arm.budget == "equal epochs":
            seen *= len(self.sources.curated) / len(self.sources.raw)
        budget = RunBudget(max(1, round(seen)), self.tests, self.pool.labels)
        started = time.perf_counter()
        given: Any = self.run(self.examples(rows), job.seed + arm.seed_offset, budget)
        named = given if isinstance(given, Mapping) else {"test": given}
        scores = {name: np.asarray(values, dtype=np.float64) for name, values in named.items()}
        for name, values in scores.items():
            wanted = (len(self.tests[name]),) if name in self.tests else None
            if values.shape != wanted:
                raise UserError(
                    f"train: returned scores of shape {values.shape} for {name!r}; allowed: "
                    + ", ".join(f"{len(rows)} for {test!r}" for test, rows in self.tests.items())
                )
        if missing := [name for name in self.plan.tests if name not in scores]:
            raise UserError(f"train: returned no scores for {', '.join(missing)}")
        spent = {"n": len(rows), "seconds": round(time.perf_counter() - started, 3)}
        facts = {"steps": budget.examples, "n_seen": budget.examples, "device": "own"}
        write_run(self.out, self.plan.hash, job, Outcome(scores, {}, facts), spent)

    def stop(self) -> None:
        """Nothing is held."""


def sklearn_trainer(estimator: Any, read: Callable[[pa.Array], Any] | None = None) -> Train:
    """Return a trainer that fits a fresh clone of a scikit-learn classifier on each arm.

    Every `random_state` in it is set to the seed. An estimator that is trained to convergence pays
    no heed to the budget: more rows then mean more compute.

    Args:
        estimator: a classifier or a pipeline that ends in one.
        read: turns contents (texts, encoded images) into its input; by default a list.
    """

    def rows_of(content: pa.Array) -> Any:
        return read(content) if read else content.to_pylist()

    def train(rows: LabelledRows, seed: int, budget: RunBudget) -> dict[str, Any]:
        from sklearn.base import clone

        model = clone(estimator)
        seeded = [name for name in model.get_params() if name.split("__")[-1] == "random_state"]
        model.set_params(**dict.fromkeys(seeded, seed))
        model.fit(rows_of(rows.content), rows.labels.to_pylist())
        return {
            name: np.asarray(model.predict(rows_of(test.content)))
            == np.array(test.labels.to_pylist())
            for name, test in budget.tests.items()
        }

    train.says = repr(estimator) + (name_of(read) if read else "")  # type: ignore[attr-defined]
    train.__qualname__ = f"sklearn {type(estimator).__name__}"
    return train


def hf_trainer(make: Callable[[Any, int, int], Any]) -> Train:
    """Return a trainer from a function that builds a Hugging Face style Trainer.

    Args:
        make: (train dataset, seed, examples to see) → an object with `train()` and
            `predict(dataset)`, whose `.predictions` are logits of shape (rows, labels); datasets
            are lists of {"text" or "image": content, "label": index of the sorted label names}.
    """

    def listed(rows: LabelledRows, names: tuple[str, ...]) -> list[dict[str, Any]]:
        column = "image" if pa.types.is_large_binary(rows.content.type) else "text"
        pairs = zip(rows.content.to_pylist(), rows.codes(names).tolist(), strict=True)
        return [{column: content, "label": label} for content, label in pairs]

    def train(rows: LabelledRows, seed: int, budget: RunBudget) -> dict[str, Any]:
        trainer = make(listed(rows, budget.names), seed, budget.examples)
        trainer.train()
        scores = {}
        for name, test in budget.tests.items():
            logits = np.asarray(trainer.predict(listed(test, budget.names)).predictions)
            scores[name] = logits.argmax(axis=1) == test.codes(budget.names)
        return scores

    train.says = name_of(make)  # type: ignore[attr-defined]
    train.__qualname__ = getattr(make, "__qualname__", type(make).__name__)
    return train
