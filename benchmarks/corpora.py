"""Corpora with planted duplicates, from a seed: texts, texts of one template, and vectors.

Each function writes a Parquet file and returns its truth: a table with the row's `id`, its `kind`
and its `cluster`; rows of one cluster were planted as copies of each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

SHINGLE = 5
"""Words of a shingle that the similarity of near-copies is planned for."""
DIMENSIONS = 256
SHARES = {"exact": 0.08, "norm": 0.02, "near": 0.10, "junk": 0.025, "short": 0.025}
"""Share of each planted kind; the rest are originals."""
HEADER, FOOTER = 80, 70
"""Words of the template before and after what a document says itself."""


class Words:
    """Made-up words drawn by Zipf's law: rank r has weight 1/(r + 2.7) (Mandelbrot 1953)."""

    def __init__(self, rng: np.random.Generator, size: int = 50_000) -> None:
        letters = np.array(list("eeeeaaaiiooutttnnnssrrhlldcmfpgwybvk"))
        sizes = np.minimum(2 + np.arange(size) // 2_000, 12)
        drawn = ["".join(rng.choice(letters, n)) for n in sizes]
        self.words = np.array(list(dict.fromkeys(drawn)))
        weight = 1 / (np.arange(len(self.words)) + 2.7)
        self.cumulative = np.cumsum(weight) / weight.sum()
        self.rng = rng

    def draw(self, count: int) -> list[str]:
        """Return that many words."""
        found = np.searchsorted(self.cumulative, self.rng.random(count))
        return list(self.words[np.minimum(found, len(self.words) - 1)])

    def sentence(self, words: Sequence[str]) -> str:
        """Return the words as sentences of some dozen words."""
        said = list(words)
        at = 0
        while at < len(said):
            said[at] = said[at].capitalize()
            at += int(self.rng.integers(8, 20))
            said[min(at, len(said)) - 1] += "."
        return " ".join(said)

    def edit(self, text: str, similarity: float) -> str:
        """Return the text with words replaced so that about that Jaccard similarity is left.

        Of n shingles, a replaced word costs at most SHINGLE; k words far enough apart leave
        (n - 5k) / (n + 5k). Half the time the words lie side by side, which costs less a word.
        Capitals and full stops stay where they were, so that the similarity is about the same
        whether or not a tool looks at them.
        """
        changed = text.split()
        shingles = max(1, len(changed) - SHINGLE + 1)
        lost = shingles * (1 - similarity) / (1 + similarity)
        if self.rng.random() < 0.5:
            count = max(1, round(lost / SHINGLE))
            spaced = len(changed) / count
            places = (np.arange(count) + self.rng.random()) * spaced
        else:
            count = max(1, round(lost) - SHINGLE + 1)
            places = self.rng.integers(0, max(1, len(changed) - count)) + np.arange(count)
        for place, word in zip(places.astype(int), self.draw(count), strict=True):
            old = changed[place]
            new = f"{word}{self.rng.integers(10)}"
            new = new.capitalize() if old[0].isupper() else new
            changed[place] = new + "." if old.endswith(".") else new
        return " ".join(changed)


def write_texts(path: Path, rows: int, seed: int = 0) -> pa.Table:
    """Write documents of about 1 kB with planted copies; returns their truth.

    Kinds: `base`; `exact` and `norm` (other case and spacing) copies of a base; `near`, with a
    Jaccard similarity to its base that is spread over 0.5 to 1; `junk`, without or with one
    repeated word; `short`, one to four words, no two alike.
    """
    rng = np.random.default_rng(seed)
    words = Words(rng)
    counts = {kind: int(rows * share) for kind, share in SHARES.items()}
    base = rows - sum(counts.values())
    texts = [words.sentence(words.draw(n)) for n in rng.integers(80, 260, base)]
    kinds = ["base"] * base
    clusters = list(range(base))

    def add(kind: str, text: str, cluster: int | None = None) -> None:
        kinds.append(kind)
        clusters.append(len(texts) if cluster is None else cluster)
        texts.append(text)

    for source in rng.integers(0, base, counts["exact"]):
        add("exact", texts[source], int(source))
    for source in rng.integers(0, base, counts["norm"]):
        add("norm", texts[source].upper().replace(" ", "  "), int(source))
    for source in rng.integers(0, base, counts["near"]):
        add("near", words.edit(texts[source], rng.uniform(0.5, 1)), int(source))
    for number in range(counts["junk"]):
        symbols = "".join(rng.choice(list("!?#*-=+<>/"), 60)) + "\n" * (number % 7)
        word = f"{words.draw(1)[0]}{number}"
        add("junk", symbols if number % 2 else f"{word} " * int(rng.integers(20, 90)))
    for number in range(counts["short"]):
        add("short", " ".join([*words.draw(int(rng.integers(0, 4))), f"n{number}"]))
    return write_table(path, texts, kinds, clusters, rng)


def write_template(path: Path, rows: int, share: float = 0.3, seed: int = 0) -> pa.Table:
    """Write documents of which a share stands in one template; returns their truth.

    A `template` document is a common header and footer about 30 to 60 words of its own: any two
    have a Jaccard similarity of 0.53 to 0.67, so that each of them is a candidate for every
    other, and none is a duplicate at 0.8. A tenth of them have a `near` copy at 0.9 or above. The
    others are unlike any other (`base`), and with `share=0` all are, of the same lengths.
    """
    rng = np.random.default_rng(seed)
    words = Words(rng)
    header, footer = words.draw(HEADER), words.draw(FOOTER)
    templates = int(rows * share)
    copies = templates // 11
    texts, kinds, clusters = [], [], []
    for number in range(rows - copies):
        own = words.draw(int(rng.integers(30, 60)))
        if number < templates - copies:
            said, kind = [*header, f"no{number}", *own, *footer], "template"
        else:
            said, kind = [*words.draw(HEADER), *own, *words.draw(FOOTER)], "base"
        texts.append(" ".join(said))
        kinds.append(kind)
        clusters.append(number)
    for source in rng.choice(max(1, templates - copies), copies, replace=False):
        said = texts[source].split()
        said[HEADER + 10] = f"changed{source}"
        texts.append(" ".join(said))
        kinds.append("near")
        clusters.append(int(source))
    return write_table(path, texts, kinds, clusters, rng)


def write_table(
    path: Path, texts: list[str], kinds: list[str], clusters: list[int], rng: np.random.Generator
) -> pa.Table:
    """Write the texts in random order, ids by place; returns the truth."""
    order = pa.array(rng.permutation(len(texts)))
    ids = [f"d{place:07d}" for place in range(len(texts))]
    corpus = pa.table({"id": ids, "text": pa.array(texts).take(order)})
    pq.write_table(corpus, path, row_group_size=10_000)
    truth = {"kind": pa.array(kinds).take(order), "cluster": pa.array(clusters).take(order)}
    return pa.table({"id": ids, **truth})


def write_blob(path: Path, rows: int) -> pa.Table:
    """Write short texts that differ in one number, all of one cluster; returns their truth."""
    rest = (
        "and will reach you within the next few working days at the address that you gave us when "
        "you placed it please keep this message until the parcel has arrived and write to us at "
        "once if anything is missing"
    )
    texts = [f"Dear customer your order number {i} has been shipped {rest}" for i in range(rows)]
    kinds = ["base"] * rows
    return write_table(path, texts, kinds, [0] * rows, np.random.default_rng(0))


def write_vectors(path: Path, rows: int, seed: int = 0) -> pa.Table:
    """Write unit vectors about topic centres with planted near-copies and one dense blob.

    Two vectors of a topic have a cosine of about 0.5, of different topics about 0. A tenth are
    copies of others at a cosine of 0.85 to 0.99; one in fifty lies in the blob, at 0.97 to each
    other. `cluster` is what was planted; what is similar enough, exact search says.
    """
    rng = np.random.default_rng(seed)
    copies, blob = rows // 10, rows // 50
    base = rows - copies - blob
    centres = rng.normal(size=(max(2, min(2_000, rows // 50)), DIMENSIONS))
    vectors = centres[rng.integers(0, len(centres), base)]
    vectors = unit(vectors + rng.normal(size=vectors.shape))
    sources = rng.integers(0, base, copies)
    near = turned(vectors[sources], rng.uniform(0.85, 0.99, (copies, 1)), rng)
    middle = np.repeat(unit(rng.normal(size=(1, DIMENSIONS))), blob, axis=0)
    dense = turned(middle, np.full((blob, 1), np.sqrt(0.97)), rng)
    clusters = np.concatenate([np.arange(base), sources, np.full(blob, base)])
    kinds = np.repeat(["base", "near", "blob"], [base, copies, blob])
    order = rng.permutation(rows)
    mixed = np.concatenate([vectors, near, dense])[order].astype(np.float32)
    ids = [f"v{place:07d}" for place in range(rows)]
    column = pa.FixedSizeListArray.from_arrays(pa.array(mixed.ravel()), DIMENSIONS)
    texts = [f"row {place}" for place in range(rows)]
    corpus = pa.table({"id": ids, "text": texts, "embedding": column})
    pq.write_table(corpus, path, row_group_size=10_000)
    return pa.table({"id": ids, "kind": kinds[order], "cluster": clusters[order]})


def turned(
    vectors: npt.NDArray[np.float64], cosine: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Return unit vectors at that cosine to the given ones, in a random direction."""
    noise = rng.normal(size=vectors.shape)
    noise = unit(noise - (noise * vectors).sum(axis=1, keepdims=True) * vectors)
    return np.asarray(cosine * vectors + np.sqrt(1 - cosine**2) * noise)


def unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return vectors scaled to length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
