"""Run each step as other processors would, and compare the bytes.

    python benchmarks/same_everywhere.py [--only STEP ...]

NumPy, OpenBLAS, Arrow, FAISS, OpenCV, oneDNN and libjpeg choose their code by the processor. By the
environment they can be told to do as on an older one, or with another number of threads; what they
use on this machine is the first case. Each environment is a process of its own that runs a small
recipe per step, made of what comes with the samples. Nothing here emulates an ARM processor.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ENVIRONMENTS: dict[str, dict[str, str]] = {
    "as it is": {},
    "2 threads": {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"},
    "1 thread": {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    "BLAS of Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    "BLAS of Nehalem": {"OPENBLAS_CORETYPE": "Nehalem"},
    "BLAS of Prescott": {"OPENBLAS_CORETYPE": "Prescott"},
    "NumPy without AVX-512": {
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    },
    "NumPy of 2009": {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"},
    "Arrow without SIMD": {"ARROW_USER_SIMD_LEVEL": "NONE"},
    "FAISS with AVX2": {"FAISS_OPT_LEVEL": "avx2", "FAISS_SIMD_LEVEL": "AVX2"},
    "FAISS without SIMD": {"FAISS_OPT_LEVEL": "generic", "FAISS_SIMD_LEVEL": "NONE"},
    "networks with AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
    "networks with SSE4.1": {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"},
    "OpenCV without AVX": {
        "OPENCV_CPU_DISABLE": "AVX,AVX2,FMA3,AVX512_COMMON,AVX512_SKX,AVX512_CLX,AVX512_ICL",
        "OPENCV_IPP": "disabled",
    },
    "JPEG without SIMD": {"JSIMD_FORCENONE": "1"},
    "C library of 2009": {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F,-FMA4"},
}
OLD = [name for name in ENVIRONMENTS if "2009" in name or "without" in name or "SSE" in name]
ENVIRONMENTS["an old machine"] = {
    key: value for name in OLD for key, value in ENVIRONMENTS[name].items()
} | {"OPENBLAS_CORETYPE": "Prescott"}

EMBED = {"op": "embed"}
LOOK = {"op": "embed", "model": "image"}
CASES: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "normalize_text": ("texts", [{"op": "normalize_text", "unicode": "NFKC", "html": True}]),
    "word_count": ("texts", [{"op": "word_count", "at_least": 12}]),
    "char_count": ("texts", [{"op": "char_count", "at_least": 60}]),
    "language": ("texts", [{"op": "language", "keep": ["en"], "at_least": 0.8}]),
    "exact_dedup": ("texts", [{"op": "exact_dedup", "ignore": ["case", "punctuation"]}]),
    "near_dedup": ("texts", [{"op": "near_dedup", "similarity": 0.6, "shingle": 2}]),
    "line_dedup": ("texts", [{"op": "line_dedup"}]),
    "substring_dedup": ("texts", [{"op": "substring_dedup", "tokens": 10}]),
    "sample": ("texts", [{"op": "sample", "fraction": 0.5}]),
    "select_top": ("vectors", [{"op": "select_top", "by": "score", "fraction": 0.5}]),
    "mix": ("texts", [{"op": "mix", "by": "label", "temperature": 3}]),
    "dsir": ("texts", [{"op": "dsir", "target": "TARGET", "fraction": 0.5}]),
    "split": ("texts", [{"op": "split"}]),
    "augment_text": ("texts", [{"op": "augment_text", "method": "keyboard"}]),
    "embed: hash": ("texts", [EMBED]),
    "embed: image": ("pictures", [LOOK]),
    "embed: minilm": ("few texts", [{"op": "embed", "model": "minilm"}]),
    "embed: lite0": ("few pictures", [{"op": "embed", "model": "lite0"}]),
    "drop_label_errors, texts": ("texts", [EMBED, {"op": "drop_label_errors"}]),
    "drop_label_errors, pictures": ("pictures", [LOOK, {"op": "drop_label_errors"}]),
    "semantic_dedup": ("texts", [EMBED, {"op": "semantic_dedup", "similarity": 0.7}]),
    "semantic_dedup, cells": (
        "vectors",
        [{"op": "semantic_dedup", "similarity": 0.6, "column": "vector"}],
    ),
    "semantic_dedup, index": (
        "vectors",
        [
            {"op": "semantic_dedup", "similarity": 0.6, "column": "vector", "index": "IVF64,Flat"},
        ],
    ),
    "cluster_sample": ("texts", [EMBED, {"op": "cluster_sample", "clusters": 50, "fraction": 0.5}]),
    "prune_prototypes": (
        "texts",
        [EMBED, {"op": "prune_prototypes", "clusters": 50, "fraction": 0.5}],
    ),
    "k_center": ("texts", [EMBED, {"op": "k_center", "rows": 300}]),
    "image_check": ("pictures", [{"op": "image_check", "contrast_at_least": 20}]),
    "image_near_dedup": ("pictures", [{"op": "image_near_dedup", "similarity": 0.9}]),
    "augment_image": ("few pictures", [{"op": "augment_image", "copies": 2}]),
}
INPUTS = {
    "texts": {"format": "jsonl", "path": "samples/reviews/train*", "label": "label"},
    "few texts": {"format": "jsonl", "path": "samples/reviews/test.jsonl", "label": "label"},
    "pictures": {"format": "images", "path": "samples/digits/train"},
    "few pictures": {"format": "images", "path": "samples/digits/test"},
    "vectors": {"format": "parquet", "path": "vectors.parquet", "text": "text"},
}
LIMITS = {"texts": 3000, "few texts": 100, "pictures": 1500, "few pictures": 60}


def outcome(folder: Path, name: str) -> dict[str, str]:
    """Run the recipe of one case under `folder`; return digests of its bytes and its rows."""
    from curate.recipe.recipe import Recipe
    from curate.run.run import run_recipe

    data, steps = CASES[name]
    read = INPUTS[data] | {"path": str(folder / INPUTS[data]["path"])}
    target = str(folder / "samples/reviews/test.jsonl")
    steps = [{k: target if v == "TARGET" else v for k, v in step.items()} for step in steps]
    out = Path(tempfile.mkdtemp(dir=folder)) / "out"
    recipe = Recipe.model_validate(
        {"name": "same", "read": read, "steps": steps, "write": {"path": str(out)}}
    )
    made = run_recipe(recipe, limit=LIMITS.get(data)).manifest.as_json()
    files = {entry["file"]: entry["sha256"] for entry in made["shards"] + made["ledger"]}
    fates = pa.concat_tables(
        [
            pq.read_table(path, columns=["id", "fate", "reason"])
            for path in out.rglob("_curate/ledger/*")
        ]
    )
    rows = sorted(map(str, fates.to_pylist()))
    return {"bytes": json.dumps(files, sort_keys=True), "rows": json.dumps(rows)}


def run_cases(folder: Path, names: list[str]) -> None:
    """Print the outcome of some cases, one line of JSON each."""
    for name in names:
        with quiet():
            found: Mapping[str, str] | str
            try:
                found = outcome(folder, name)
            except Exception as error:  # the table says it; other cases go on
                found = f"{type(error).__name__}: {error}"
        sys.stdout.write(json.dumps({"case": name, "found": found}) + "\n")
        sys.stdout.flush()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what libraries print out of the answer."""
    kept = sys.stdout
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = kept


def in_environment(folder: Path, environment: str, names: list[str]) -> dict[str, Any]:
    """Return the outcomes of some cases in one environment."""
    command = [sys.executable, __file__, "--in", str(folder), "--only", *names]
    root = str(Path(__file__).parents[1])
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": root} | ENVIRONMENTS[environment],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{environment}: {done.stderr[-2000:]}")
    lines = map(json.loads, done.stdout.splitlines())
    return {line["case"]: line["found"] for line in lines}


def verdict(found: Any, first: Any) -> str:
    """Return in a few words how one outcome differs from the first."""
    if isinstance(found, str) or isinstance(first, str):
        return str(found if isinstance(found, str) else first)[:60]
    if found["bytes"] == first["bytes"]:
        return "same bytes"
    if found["rows"] == first["rows"]:
        return "same rows"
    ours, theirs = set(json.loads(found["rows"])), set(json.loads(first["rows"]))
    return f"{len(ours - theirs)} of {len(ours)} rows differ"


def write_inputs(folder: Path) -> None:
    """Write the samples, and vectors in clumps: more than are compared all with all."""
    from curate.samples.samples import write_samples
    from pipelines.maths.vectors.unit_vectors import EXACT_UP_TO

    write_samples(folder / "samples")
    draw = np.random.default_rng(0)
    n = EXACT_UP_TO + 2_000
    clumps = draw.normal(size=(1_000, 32))
    vectors = clumps[draw.integers(0, len(clumps), n)] + 0.7 * draw.normal(size=(n, 32))
    table = {
        "text": [f"row {i}" for i in range(n)],
        "vector": pa.FixedSizeListArray.from_arrays(vectors.astype(np.float32).ravel(), 32),
        "score": np.round(draw.normal(size=n), 2),
    }
    pq.write_table(pa.table(table), folder / "vectors.parquet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--in", dest="folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--only", nargs="*", default=list(CASES), choices=list(CASES))
    given = parser.parse_args()
    if given.folder:
        run_cases(given.folder, given.only)
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_inputs(folder)
        found = {name: in_environment(folder, name, given.only) for name in ENVIRONMENTS}
    first, *others = found
    print("| step | same bytes in | but |\n|---|---|---|")
    for case in given.only:
        told = {name: verdict(found[name][case], found[first][case]) for name in others}
        but = "; ".join(f"{name}: {said}" for name, said in told.items() if said != "same bytes")
        same = sum(said == "same bytes" for said in told.values())
        print(f"| {case} | {same} of {len(others)} | {but} |")


if __name__ == "__main__":
    main()
