"""Damage files at random and run the tool on them: nothing may crash, hang or be left uncounted.

    python benchmarks/fuzz.py [--mutants 5000] [--formats jsonl,csv] [--seed 0] [--out results.json]

Of each format a small valid file is mutated (bits, bytes, runs, cuts, doubled and swapped parts).
Batches of mutants lie in one folder and are read by `curate run`, which must end with 0 or 1 and
rows in = kept + dropped + quarantined, or with 2 and a sentence that names the file, which is then
taken out. A batch that ends otherwise is halved until the mutant that did it stands alone. Recipes
are given to the loader. Prints a table; ends with 1 if anything crashed, hung or lost its balance.
"""

from __future__ import annotations

import argparse
import bz2
import csv
import gzip
import io
import json
import lzma
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

BATCH = 250
SECONDS = 240
"""Time for one batch; a run that takes longer hangs."""
_RECIPE = """\
name: fuzz
read: {{format: {format}, path: {folder}, damaged: allow{more}}}
steps:
  - op: {op}
  - op: exact_dedup
max_quarantined: 1000000
write: {{path: {out}, overwrite: true}}
"""
_EQUATION = re.compile(r"([\d,]+) rows in = ([\d,]+) kept \+ ([\d,]+) dropped \+ ([\d,]+) quaran")


def _rows() -> list[dict[str, object]]:
    words = [f"word{i}" for i in range(40)]
    return [
        {"text": " ".join(words[i : i + 9]), "n": i, "x": i / 7, "l": [i, i + 1], "s": {"a": "é"}}
        for i in range(24)
    ]


def _jsonl() -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in _rows())


def _csv() -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["text", "n"])
    writer.writerows([f'{row["text"]}, "said"\nnext', row["n"]] for row in _rows())
    return out.getvalue().encode()


def _table() -> pa.Table:
    table = pa.Table.from_pylist(_rows())
    return table.append_column("d", pa.array(["p", "q"] * 12).dictionary_encode())


def _strange_table() -> pa.Table:
    """Return a table of the types that name one value many times, some within others."""
    rows, text = list(range(24)), [f"a text too long for a view {i}" for i in range(24)]
    codes, edges = pa.array([i % 2 for i in rows], pa.int8()), pa.array([*rows, 24], pa.int32())
    halves = [pa.array(rows[:12]), pa.array(text[:12])]
    dense = pa.UnionArray.from_dense(codes, pa.array([i // 2 for i in rows], pa.int32()), halves)
    columns = {
        "text": pa.array(text, pa.string_view()),
        "dense": dense,
        "dense_in_struct": pa.StructArray.from_arrays([dense], ["u"]),
        "dense_in_list": pa.ListArray.from_arrays(edges, dense),
        "sparse": pa.UnionArray.from_sparse(codes, [pa.array(rows), pa.array(text)]),
        "runs": pa.RunEndEncodedArray.from_arrays(pa.array([5, 24], pa.int32()), ["a", "b"]),
        "list_view": pa.array([[i, i + 1] for i in rows], pa.list_view(pa.int64())),
        "large": pa.array([[t, "x"] for t in text], pa.large_list_view(pa.string_view())),
        "bytes": pa.array([t.encode() for t in text], pa.binary_view()),
        "map": pa.array([[("k", i)] for i in rows], pa.map_(pa.string(), pa.int64())),
        "uuid": pa.array([b"0123456789abcdef"] * 24, pa.uuid()),
        "words": pa.array([[f"w{i % 3}"] for i in rows], pa.list_(pa.dictionary("int8", "string"))),
    }
    return pa.table(columns)


def _arrow(new: Callable[..., object], table: pa.Table) -> bytes:
    out = io.BytesIO()
    with new(out, table.schema) as writer:  # type: ignore[attr-defined]
        for batch in table.to_batches(10):
            writer.write_batch(batch)
    return out.getvalue()


def _parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(_table(), out, row_group_size=10)
    return out.getvalue()


def _image(kind: str) -> bytes:
    from PIL import Image

    pixels = np.add.outer(np.arange(48) * 5, np.arange(64) * 3).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(np.stack([pixels, pixels.T[:48, :48].repeat(2, 1)[:, :64], pixels], -1)).save(
        out, kind
    )
    return out.getvalue()


FORMATS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "jsonl": (".jsonl", _jsonl),
    "csv": (".csv", _csv),
    "parquet": (".parquet", _parquet),
    "arrow": (".arrow", lambda: _arrow(pa.ipc.new_stream, _table())),
    "arrow file": (".arrow", lambda: _arrow(pa.ipc.new_file, _table())),
    "arrow types": (".arrow", lambda: _arrow(pa.ipc.new_stream, _strange_table())),
    "arrow types file": (".arrow", lambda: _arrow(pa.ipc.new_file, _strange_table())),
    "gz": (".jsonl.gz", lambda: gzip.compress(_jsonl()[:1500]) + gzip.compress(_jsonl())),
    "zst": (".jsonl.zst", lambda: zstandard.compress(_jsonl())),
    "bz2": (".jsonl.bz2", lambda: bz2.compress(_jsonl())),
    "xz": (".jsonl.xz", lambda: lzma.compress(_jsonl())),
    **{
        kind: (f".{kind}", lambda kind=kind: _image(kind))  # type: ignore[misc]
        for kind in ("png", "jpeg", "webp", "gif", "tiff")
    },
    "recipe": (".yaml", lambda: _recipe("text", "jsonl", Path("in"), Path("out")).encode()),
}
"""Suffix of each format, and what makes a small valid file of it."""


def mutated(data: bytes, seed: int) -> bytes:
    """Return the data with one to eight random injuries."""
    lot, out = random.Random(seed), bytearray(data)
    for _ in range(lot.randint(1, 8)):
        at, length = lot.randrange(len(out)), lot.choice([1, 1, 2, 4, 8, 64])
        kind = lot.randrange(7)
        if kind == 0:
            out[at] ^= 1 << lot.randrange(8)
        elif kind == 1:
            out[at : at + length] = bytes([lot.choice([0, 1, 127, 128, 255])]) * length
        elif kind == 2:
            out[at : at + length] = lot.randbytes(length)
        elif kind == 3:
            out[at:at] = lot.randbytes(length)
        elif kind == 4:
            del out[at : at + length]
        elif kind == 5:
            out[at:at] = out[lot.randrange(len(out)) :][: 8 * length]
        elif lot.random() < 0.3:
            del out[max(1, at) :]
        if not out:
            out = bytearray(b"\0")
    return bytes(out)


def _recipe(role: str, name: str, folder: Path, out: Path) -> str:
    op = "image_check" if role == "image" else "normalize_text"
    return _RECIPE.format(format=name, folder=folder, out=out, op=op, more="")


def _run(files: list[Path], name: str, work: Path) -> tuple[str, str]:
    """Return how a run over some files ended, and what it said."""
    folder = work / "in"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in files:
        shutil.copy(file, folder)
    if name == "recipe":
        command = [sys.executable, __file__, "--load", str(folder)]
    else:
        read = {"gz": "jsonl", "zst": "jsonl", "bz2": "jsonl", "xz": "jsonl"}.get(name, name)
        is_image = FORMATS[name][0][1:] == name and read not in ("jsonl", "csv", "parquet", "arrow")
        role, read = ("image", "images") if is_image else ("text", read.split()[0])
        (work / "r.yaml").write_text(_recipe(role, read, folder, work / "out"))
        command = [sys.executable, "-m", "curate", "run", str(work / "r.yaml")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return "hung", ""
    said = done.stdout + done.stderr
    if done.returncode not in (0, 1, 2) or "Traceback" in said:
        return "crashed", said[-400:]
    if done.returncode == 2:
        return "refused", said[-4000:]
    if done.returncode == 0 and name != "recipe":
        found = _EQUATION.search(said)
        rows = [int(n.replace(",", "")) for n in found.groups()] if found else [0, 1]
        if rows[0] != sum(rows[1:]):
            return "unbalanced", said[-400:]
    return "ran", said


def _hunt(files: list[Path], name: str, work: Path) -> Iterator[tuple[Path, str, str]]:
    """Yield each file with how the tool ended on it."""
    left = list(files)
    while left:
        ended, said = _run(left, name, work)
        if ended == "ran":
            yield from ((file, "ran", "") for file in left)
            return
        if len(left) == 1:
            yield left[0], ended, said
            return
        named = [file for file in left if ended == "refused" and file.name in said]
        if not named:
            half = len(left) // 2
            yield from _hunt(left[:half], name, work)
            left = left[half:]
            continue
        yield from ((file, ended, said) for file in named)
        left = [file for file in left if file not in named]


def fuzz(name: str, mutants: int, seed: int, keep: Path) -> Counter[str]:
    """Run one format; returns how many mutants ended how. Culprits are copied to `keep`."""
    suffix, make = FORMATS[name]
    data, counts = make(), Counter[str]()
    with tempfile.TemporaryDirectory() as place:
        for start in range(0, mutants, BATCH):
            files = []
            for i in range(start, min(mutants, start + BATCH)):
                file = Path(place) / f"m{i:06d}{suffix}"
                file.write_bytes(mutated(data, seed * 1_000_003 + i))
                files.append(file)
            for file, ended, said in _hunt(files, name, Path(place) / "work"):
                counts[ended] += 1
                if ended not in ("ran", "refused"):
                    keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(file, keep)
                    print(f"{name}: {file.name} {ended}: {said.splitlines()[-1:]}", flush=True)
                file.unlink()
    return counts


def _load_all(folder: Path) -> None:
    """Load each recipe of a folder; what is wrong with one must be a `RecipeError`."""
    from curate.errors import RecipeError
    from curate.recipe.recipe import load_recipe

    for file in sorted(folder.iterdir()):
        try:
            load_recipe(file)
        except RecipeError:
            continue


def main() -> None:
    """Fuzz the formats asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mutants", type=int, default=5000)
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "fuzz")
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load:
        _load_all(given.load)
        return
    results, ends = {}, ("ran", "refused", "crashed", "hung", "unbalanced")
    print(f"{'format':<18}" + "".join(f"{end:>12}" for end in ends))
    for name in given.formats.split(","):
        counts = fuzz(name, given.mutants, given.seed, given.keep)
        results[name] = dict(counts)
        print(f"{name:<18}" + "".join(f"{counts[end]:>12,}" for end in ends), flush=True)
    if given.out:
        about = {"date": datetime.now(UTC).date().isoformat(), "mutants": given.mutants}
        given.out.write_text(json.dumps({**about, "results": results}, indent=1) + "\n")
    if any(counts.keys() - {"ran", "refused"} for counts in map(Counter, results.values())):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
