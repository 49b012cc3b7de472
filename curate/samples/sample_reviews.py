"""The film reviews of the sample corpora: real lines, a test carved by film, dirt by seed."""

import bz2
import csv
import gzip
import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson

Record = dict[str, Any]

TEST_ROWS = 2_500
NOISE = 0.3
"""Share of training reviews whose label is flipped."""
COPIES, RESPACED, EDITED, MARKED_UP = 300, 900, 800, 400
FILES, PLAIN = 6, 2
"""Training files, and how many of them are not compressed."""

JUNK = (
    "404 Not Found",
    "Read the full review »",
    "Click here to subscribe to our newsletter. Click here to unsubscribe.",
    "!!!!!!!!!! ********** !!!!!!!!!!",
    "test test test test test test test test",
)
JUNK_EACH = 30
LATIN = b'{"id": "rt-bytes", "text": "caf\xe9"}'


def write_reviews(source: Path, folder: Path, seed: int) -> list[Record]:
    """Write `train-*.jsonl(.gz)` and `test.jsonl`; return the list of what was planted."""
    rng = np.random.default_rng([seed, 1])
    with bz2.open(source, "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    test, train = _carve(rows, rng)
    planted: list[Record] = []
    _mislabel(train, planted, rng)
    _mark_up(train, planted, rng)
    _copy(train, planted, rng)
    _junk(train, planted, rng)
    order = rng.permutation(len(train))
    lines_of = [orjson.dumps(train[i]) for i in order]
    folder.mkdir()
    _write_train(folder, lines_of, planted, rng)
    (folder / "test.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in test))
    return planted


def _folded(text: str) -> str:
    """Return text without case and spacing."""
    return " ".join(text.casefold().split())


def _carve(
    rows: list[dict[str, str]], rng: np.random.Generator
) -> tuple[list[Record], list[Record]]:
    """Return clean test reviews and raw training rows, of different films and texts."""
    films: dict[str, int] = {}
    for row in rows:
        films[row["movie_name"]] = films.get(row["movie_name"], 0) + (row["category"] != "plot")
    names = rng.permutation(sorted(films)).tolist()
    total = np.cumsum([films[name] for name in names])
    held_out = set(names[: int(np.searchsorted(total, TEST_ROWS)) + 1])
    seen = {_folded(row["text"]) for row in rows if row["movie_name"] not in held_out} | {""}
    test, train = [], []
    for number, row in enumerate(rows):
        film, label, text = row["movie_name"], row["category"], row["text"]
        made = {"id": f"rt-{number:05d}", "text": text, "label": label, "movie_name": film}
        if film not in held_out:
            train.append(made)
        elif label != "plot" and _folded(text) not in seen:
            seen.add(_folded(text))
            test.append({**made, "text": " ".join(html.unescape(text).split())})
    return test, train


def _mislabel(train: list[Record], planted: list[Record], rng: np.random.Generator) -> None:
    """Flip labels of reviews, and give plots a label drawn at random."""
    reviews = [row for row in train if row["label"] != "plot"]
    for row in train:
        if row["label"] == "plot":
            row["label"] = ("fresh", "rotten")[int(rng.integers(2))]
            planted.append(_note("plot with a random label", row, was="plot"))
    for i in rng.choice(len(reviews), round(NOISE * len(reviews)), replace=False):
        row = reviews[i]
        was, row["label"] = row["label"], "rotten" if row["label"] == "fresh" else "fresh"
        planted.append(_note("wrong label", row, was=was))


def _mark_up(train: list[Record], planted: list[Record], rng: np.random.Generator) -> None:
    """Wrap texts in the HTML that a scraper leaves behind."""
    forms = ("<p>{}</p>", "{}<br /><br />", '<span class="quote">{}</span>', "&ldquo;{}&rdquo;")
    for k, i in enumerate(rng.choice(len(train), MARKED_UP, replace=False)):
        row = train[i]
        row["text"] = forms[k % len(forms)].format(html.escape(row["text"].strip()))
        planted.append(_note("HTML left in", row))


def _copy(train: list[Record], planted: list[Record], rng: np.random.Generator) -> None:
    """Append copies: verbatim, in other case or spacing, with a few words changed."""
    respaced: tuple[Callable[[str], str], ...] = (
        str.upper,
        str.lower,
        lambda text: text.replace(" ", "  "),
        lambda text: f"\t{text} \n",
    )
    wordy = [i for i, row in enumerate(train) if len(row["text"].split()) >= 20]
    whole = [i for i, row in enumerate(train) if row["text"].strip()]
    kinds = (
        ("verbatim copy", whole, COPIES),
        ("copy with other case or spaces", whole, RESPACED),
        ("copy with words changed", wordy, EDITED),
    )
    made: list[Record] = []
    for kind, candidates, count in kinds:
        for k, i in enumerate(rng.choice(candidates, count, replace=False)):
            text = train[i]["text"]
            if kind.startswith("copy with other"):
                text = respaced[k % len(respaced)](text)
            elif kind.startswith("copy with words"):
                text = _edited(text, rng)
            copy = {**train[i], "id": f"rt-copy-{len(made):05d}", "text": text}
            made.append(copy)
            planted.append(_note(kind, copy, of=train[i]["id"]))
    train += made


def _edited(text: str, rng: np.random.Generator) -> str:
    """Drop the first or last word; in one of four, also swap two neighbours inside."""
    words = text.split()
    words = words[1:] if rng.random() < 0.5 else words[:-1]
    if rng.random() < 0.25:
        at = int(rng.integers(1, len(words) - 2))
        words[at], words[at + 1] = words[at + 1], words[at]
    return " ".join(words)


def _junk(train: list[Record], planted: list[Record], rng: np.random.Generator) -> None:
    """Append lines a scraper picks up that are no reviews, and empty and missing texts."""
    for k, text in enumerate([*JUNK * JUNK_EACH, "", "", "", None, None, None]):
        label = ("fresh", "rotten")[int(rng.integers(2))]
        row = {"id": f"rt-junk-{k:03d}", "text": text, "label": label, "movie_name": None}
        train.append(row)
        planted.append(_note("no text" if not text else "junk line", row))


def _write_train(
    folder: Path, lines: list[bytes], planted: list[Record], rng: np.random.Generator
) -> None:
    """Write the training files, with some lines that cannot be read."""
    for k, i in enumerate(rng.choice(len(lines), 6, replace=False)):
        extra = lines[i][: len(lines[i]) // 2] if k < 5 else LATIN
        lines.insert(int(rng.integers(len(lines))), extra)
    size = -(-len(lines) // FILES)
    for number in range(FILES):
        part = b"".join(line + b"\n" for line in lines[number * size : (number + 1) * size])
        name = f"train-{number:05d}.jsonl"
        if number < FILES - PLAIN:
            part, name = gzip.compress(part, mtime=0), f"{name}.gz"
        (folder / name).write_bytes(part)
    planted += [{"corpus": "reviews", "defect": "line cut short"} for _ in range(5)]
    planted.append({"corpus": "reviews", "defect": "line of invalid UTF-8"})


def _note(defect: str, row: Record, **more: str) -> Record:
    return {"corpus": "reviews", "defect": defect, "id": row["id"], **more}
