"""Lee et al. 2022, "Deduplicating Training Data Makes Language Models Better" (arXiv:2107.06499).

A model trained on deduplicated text emits text of its training set word for word ten times less
often, at equal tokens, and is not worse.
"""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.evidence.documents import package_documents
from benchmarks.validation_language import IntArray, as_documents, copied, filled, ngram
from benchmarks.validation_settings import Settings
from benchmarks.validation_table import Agreement, Finding
from training.arrays import FloatArray
from training.pool.tokens import Documents
from training.statistics.stats import Estimate, estimate

SOURCE = "Lee et al. 2022"
LENGTH = 50
"""Bytes of a prompt and of what is read of the answer."""
LEAST, MOST = 200, 2_000
"""Bytes of the shortest paragraph, and of the longest one of the test."""
ORDER = 8
HELD_OUT = 0.2
"""Share of the packages whose paragraphs, if they stand nowhere else, are the test."""


def copying(settings: Settings) -> list[Finding]:
    """Train on documents of installed packages with and without repeated paragraphs."""
    texts, package = paragraphs(settings)
    budget = settings.size(quick=40_000, full=2_000_000)
    prompts, tested = settings.size(quick=20, full=500), settings.size(quick=5_000, full=300_000)
    return [_compared(texts, package, budget, settings.seeds, prompts, tested)]


def paragraphs(settings: Settings) -> tuple[list[str], IntArray]:
    """Return every paragraph of the packages' documents as it stands, and its package."""
    system = Path("/nowhere" if settings.quick else "/usr/share/doc")
    texts, packages = [], []
    for name, _, text in package_documents(system, Path(sysconfig.get_path("purelib"))):
        for paragraph in re.split(r"\n\s*\n", text):
            if len(paragraph.encode()) >= LEAST:
                texts.append(" ".join(paragraph.split()))
                packages.append(name)
        if settings.quick and len(texts) > 3_000:
            break
    long = [row for row, text in enumerate(texts) if len(text.encode()) >= 2 * LENGTH]
    of = np.unique(packages, return_inverse=True)[1].reshape(-1)
    return [texts[row] for row in long], of[long]


def arms(
    texts: Documents, distinct: IntArray, pool: IntArray, budget: int, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Return rows of a raw sample, and of one with each text once and new texts in their place.

    Args:
        texts: all texts.
        distinct: for each text the number of its content.
        pool: rows to draw from.
        budget: bytes of either sample.
        rng: draws both.
    """
    order = rng.permutation(pool)
    raw = filled(texts, order, budget)
    first = order[np.sort(np.unique(distinct[order], return_index=True)[1])]
    return raw, filled(texts, first, budget)


def _compared(
    texts: list[str], package: IntArray, budget: int, seeds: int, prompts: int, tested: int
) -> Finding:
    documents = as_documents(texts)
    distinct = pa.array(texts, pa.large_string()).dictionary_encode().indices.to_numpy()
    drawn = np.random.default_rng(6).random(package.max() + 1) < HELD_OUT
    held = drawn[package]
    pool = np.flatnonzero(~held)
    new = held & ~np.isin(distinct, distinct[pool])
    candidates = _once(distinct, new & (documents.lengths() <= MOST))
    test_rows = filled(documents, np.random.default_rng(7).permutation(candidates), tested)
    test = documents.take(test_rows)
    shares, gaps, sizes, repeated = [], [], [], []
    for seed in range(seeds):
        rng = np.random.default_rng([8, seed])
        raw, once = arms(documents, distinct, pool, budget, rng)
        asked = rng.choice(raw, prompts)
        models = [ngram(ORDER)(documents, rows, seed=seed) for rows in (raw, once)]
        shares.append([copied(m, documents, asked, length=LENGTH).mean() for m in models])
        bits = [model.bits(test) / test.lengths() for model in models]
        gaps.append(bits[1] - bits[0])
        sizes.append([documents.lengths()[rows].sum() for rows in (raw, once)])
        repeated.append(1 - len(np.unique(distinct[raw])) / len(raw))
    gap = estimate(np.stack(gaps), test.lengths().astype(np.float64))
    repeats = float(np.mean(repeated))
    return _finding(np.array(shares), gap, np.array(sizes), repeats, prompts, len(test_rows))


def _once(distinct: IntArray, mask: IntArray) -> IntArray:
    """Return the first row of each content among the rows of a mask."""
    rows = np.flatnonzero(mask)
    return rows[np.unique(distinct[rows], return_index=True)[1]]


def _finding(
    shares: FloatArray, gap: Estimate, sizes: FloatArray, repeated: float, prompts: int, tested: int
) -> Finding:
    raw, once = shares.mean(axis=0)
    low, high = gap.interval()
    fewer, not_worse = bool((shares[:, 1] < shares[:, 0]).all()), high < 0.01
    times = raw / once if once else np.inf
    agreement: Agreement
    if not raw:
        agreement = "not checkable"
    elif fewer and times >= 5 and not_worse:
        agreement = "yes"
    else:
        agreement = "in part" if fewer else "no"
    said = f"{times:.1f} times less" if once else "never against"
    return Finding(
        check="copying",
        claim="Deduplicated package documents are copied less at equal bytes (n-gram)",
        source=SOURCE,
        published="10 times less; quality as good or better",
        ours=f"{said} ({once:.1%} against {raw:.1%}); {gap.mean:+.3f} bits per byte",
        agreement=agreement,
        n=f"{sizes.mean() / 1e6:.2g} MB, {prompts} prompts, {tested:,} test paragraphs",
        seeds=len(shares),
        spread=f"copied {_span(shares[:, 0])} raw, {_span(shares[:, 1])} deduplicated; 95 % of the "
        f"bits {low:+.3f} to {high:+.3f}",
        says=(
            "Paragraphs of the documents that installed packages bring along, as they occur: "
            f"{repeated:.0%} of a raw sample are repeats of another one. Deduplicated: the same "
            "texts, each once (equal but for spacing), and further texts up to the same bytes. "
            f"A byte model of order {ORDER} continues the first {LENGTH} bytes of raw training "
            "paragraphs, drawn as often as they stand there, greedily; copied is a continuation "
            f"whose {LENGTH} bytes are all right. Quality is bits per byte of paragraphs of other "
            "packages that stand nowhere in train. Copies that differ in a word stay, and "
            "an n-gram model holds what "
            "stands once as surely as what stands often: it is a weak instrument for this claim, "
            "and the GPT below the better one. Lee et al. count unprompted samples of models with "
            "1.5 billion parameters."
        ),
        figures={
            "copied": shares.tolist(),
            "bits_per_byte": [gap.mean, low, high],
            "bytes": sizes.tolist(),
            "repeats": repeated,
        },
    )


def _span(values: FloatArray) -> str:
    return f"{values.min():.1%} to {values.max():.1%}"
