"""What a small repeated subset does to a language model.

Hernandez et al. 2022, "Scaling Laws and Interpretability of Learning from Repeated Data"
(arXiv:2205.10487): 0.1 % of the data, repeated 100 times, makes a model as bad as one of half the
size. Lee et al. 2022: without repeats a model copies its training text ten times less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.validation_copying import LENGTH, SOURCE
from benchmarks.validation_language import IntArray, Train, copied, filled, gpt_once, ngram, prose
from benchmarks.validation_settings import Settings
from benchmarks.validation_table import Agreement, Finding
from training.arrays import FloatArray
from training.pool.tokens import Documents
from training.statistics.curves import ErrorCurve, Ratio, kept_multiplier
from training.statistics.stats import Estimate, estimate

HERNANDEZ = "Hernandez et al. 2022"
SIZE = 500
"""Bytes of a document."""
REPEATED = 0.005
"""Documents that are repeated, as a share of those of the budget."""
TAKEN = 0.5
"""Share of the budget that the repeats take."""
ORDER = 6


@dataclass(frozen=True)
class Plan:
    """Which runs of one model are made."""

    name: str
    train: Train
    budget: int
    """Bytes of the largest training set."""
    shares: tuple[float, ...]
    """Of the budget, for texts that are all distinct."""
    seeds: int
    tested: int
    """Bytes of test text."""
    prompts: int
    """Asked for what it has copied; 0 asks nothing."""


@dataclass(frozen=True)
class Runs:
    """Bits per byte by seed, size and test document, and copied answers by seed."""

    sizes: FloatArray
    distinct: FloatArray
    """Shape (seeds, sizes, test documents)."""
    repeated: FloatArray
    """The same at the last two sizes."""
    copied: FloatArray
    """Share of copied answers, shape (seeds, 2): with repeats and all distinct; or no row."""


def repeats(settings: Settings) -> list[Finding]:
    """Train on all distinct text, and with a few documents repeated to half of the budget."""
    documents, what = prose(settings, SIZE)
    found = []
    for plan in plans(settings):
        runs = make(plan, documents)
        found.append(_harm(plan, runs, what))
        if plan.prompts:
            found.append(_copies(plan, runs, what))
    return found


def plans(settings: Settings) -> Sequence[Plan]:
    """Return the runs of the n-gram model and of the GPT."""
    if settings.quick:
        return [
            Plan("n-gram", ngram(ORDER), 60_000, (0.25, 0.5, 1.0), 3, 5_000, 0),
            Plan("GPT", gpt_once, 8_000, (0.5, 1.0), 3, 2_000, 3),
        ]
    return [
        Plan("n-gram", ngram(ORDER), 2_000_000, (0.125, 0.25, 0.5, 1.0), 5, 200_000, 0),
        Plan("GPT", gpt_once, 512_000, (0.25, 0.5, 1.0), 3, 60_000, 200),
    ]


def sets(
    documents: int, budget: int, rng: np.random.Generator
) -> tuple[IntArray, IntArray, IntArray]:
    """Return rows that are all distinct, rows with repeats, and which ones are repeated.

    Both hold `budget` documents and share those that the repeats leave room for.
    """
    distinct = rng.permutation(documents)[:budget]
    few = max(1, round(REPEATED * budget))
    room = round(TAKEN * budget)
    chosen, rest = distinct[:few], distinct[few : few + budget - room]
    return distinct, rng.permutation(np.concatenate([rest, np.resize(chosen, room)])), chosen


def make(plan: Plan, documents: Documents) -> Runs:
    """Make all runs of a plan; the test documents are the same for all seeds."""
    order = np.random.default_rng(9).permutation(len(documents.offsets) - 1)
    test_rows = filled(documents, order, plan.tested)
    pool = documents.take(order[len(test_rows) :][: 4 * plan.budget // SIZE])
    test = documents.take(test_rows)
    sizes = np.array([round(share * plan.budget / SIZE) for share in plan.shares])
    distinct, repeated, shares = [], [], []
    for seed in range(plan.seeds):
        by_size, with_repeats = [], []
        for size in sizes:
            rng = np.random.default_rng([10, seed])
            rows, some, _ = sets(len(pool.offsets) - 1, int(size), rng)
            models = [plan.train(pool, rows, seed=seed)]
            by_size.append(models[0].bits(test) / test.lengths())
            if size in sizes[-2:]:
                models.append(plan.train(pool, some, seed=seed))
                with_repeats.append(models[1].bits(test) / test.lengths())
            if size == sizes[-1] and plan.prompts:
                # Prompts as they stand in the set with repeats; the other one holds each once.
                asked = rng.choice(some, plan.prompts)
                answers = [copied(model, pool, asked, length=LENGTH).mean() for model in models]
                shares.append(answers[::-1])
        distinct.append(by_size)
        repeated.append(with_repeats)
    return Runs(sizes * float(SIZE), np.array(distinct), np.array(repeated), np.array(shares))


def _harm(plan: Plan, runs: Runs, what: str) -> Finding:
    worth = kept_multiplier(
        ErrorCurve(runs.sizes, runs.distinct), ErrorCurve(runs.sizes[-2:], runs.repeated)
    )
    harm = estimate(runs.repeated[:, -1] - runs.distinct[:, -1])
    halved = estimate(runs.repeated[:, -1] - runs.distinct[:, -2])
    left = 1 - TAKEN
    beyond = worth.censored != "at least" and worth.high is not None and worth.high < left
    seen: Agreement = "yes" if beyond else "in part"
    agreement: Agreement = seen if harm.interval()[0] > 0 else "no"
    meaning = {
        "yes": "The repeats do more harm than leaving them out would: the claim of the paper.",
        "in part": "The repeats are wasted, but do not do more harm than leaving them out would.",
        "no": "No harm is seen.",
    }[agreement]
    return Finding(
        check="repeats",
        claim=f"A small repeated subset harms ({plan.name})",
        source=HERNANDEZ,
        published="0.1 % of the data 100 times, 10 % of the tokens: as bad as half the model",
        ours=f"{harm.mean:+.3f} bits per byte; worth {_ratio(worth)} of as many distinct bytes",
        agreement=agreement,
        n=f"{plan.budget / 1e6:.3g} MB, {runs.distinct.shape[2]} test documents",
        seeds=plan.seeds,
        spread=f"95 % of the bits {_span(harm)}; of the worth {_ends(worth)}",
        says=(
            f"Prose ({what}) in documents of {SIZE} bytes. {REPEATED:.1%} of the documents are "
            f"repeated, about {TAKEN / REPEATED:.0f} times each, to take {TAKEN:.0%} of the "
            "budget; the comparison reads as many bytes, all distinct, with the same seeds. The "
            "worth is the kept-sample multiplier from the curve of distinct bytes, each size a run "
            f"of its own; {left:.2f} would mean that the repeated half is merely wasted. "
            "Against the distinct "
            f"half alone, half as long: {halved.mean:+.3f} bits per byte (95 % {_span(halved)}). "
            f"{meaning} Theirs is a model of 800 million parameters."
        ),
        figures={
            "harm": [harm.mean, *harm.interval()],
            "against_half": [halved.mean, *halved.interval()],
            "multiplier": [worth.value, worth.low, worth.high, worth.censored],
            "sizes": runs.sizes.tolist(),
            "distinct": runs.distinct.mean(axis=2).tolist(),
            "repeated": runs.repeated.mean(axis=2).tolist(),
        },
    )


def _copies(plan: Plan, runs: Runs, what: str) -> Finding:
    with_repeats, distinct = runs.copied.mean(axis=0)
    fewer = bool((runs.copied[:, 1] < runs.copied[:, 0]).all())
    gain = estimate(runs.distinct[:, -1] - runs.repeated[:, -1])
    ten = fewer and with_repeats >= 10 * distinct
    agreement: Agreement
    if not with_repeats:
        agreement = "not checkable"
    elif ten and gain.interval()[1] < 0.01:
        agreement = "yes"
    else:
        agreement = "in part" if fewer else "no"
    times = f"{with_repeats / distinct:.0f} times less, " if distinct else ""
    return Finding(
        check="repeats",
        claim=f"Without planted repeats training text is copied less at equal bytes ({plan.name})",
        source=SOURCE,
        published="10 times less; quality as good or better",
        ours=f"{times}{distinct:.1%} against {with_repeats:.1%}; {gain.mean:+.3f} bits per byte",
        agreement=agreement,
        n=f"{plan.budget / 1e6:.3g} MB, {plan.prompts} prompts",
        seeds=plan.seeds,
        spread=f"copied {_range(runs.copied[:, 0])} with repeats, {_range(runs.copied[:, 1])} "
        f"without; 95 % of the bits {_span(gain)}",
        says=(
            f"The runs of the {plan.name} with a repeated subset ({what}; repeats are planted and "
            f"take {TAKEN:.0%} of the bytes). Prompts are the first {LENGTH} bytes of training "
            "documents, drawn as often as they stand in the set with repeats; copied is a greedy "
            f"continuation whose {LENGTH} bytes are all right."
        ),
        figures={"copied": runs.copied.tolist(), "bits_per_byte": [gain.mean, *gain.interval()]},
    )


def _ratio(worth: Ratio) -> str:
    sign = {"at least": "≥ ", "at most": "≤ ", None: ""}[worth.censored]
    return f"{sign}{worth.value:.2f}"


def _ends(worth: Ratio) -> str:
    ends = ["?" if end is None else f"{end:.2f}" for end in (worth.low, worth.high)]
    return " to ".join(ends)


def _span(found: Estimate) -> str:
    return "{:+.3f} to {:+.3f}".format(*found.interval())


def _range(values: npt.NDArray[np.float64]) -> str:
    return f"{values.min():.1%} to {values.max():.1%}"
