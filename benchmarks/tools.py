"""What is compared: our recipe and one script a peer, all on the same files, on one thread.

A peer runs in an environment of its own, made of exactly the versions in
`peers/requirements/<environment>.txt`, by `python peers/<script> ... INPUT OUTPUT`; OUTPUT gets the
ids of the rows that stay, one a line. Nothing may be installed while it runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from processes import measure

PEERS = Path(__file__).parent / "peers"
VENVS = Path.home() / ".cache" / "curate-benchmarks" / "venvs"
TEXT = "{{format: parquet, path: {corpus}}}"
READ = {"images": "{{format: images, path: {corpus}}}"}
RECIPE = """\
name: benchmark
read: {read}
steps:
{steps}
write: {{path: {out}}}
run: {{runner: local, workers: 1}}
"""
NEAR = """\
  - op: normalize_text
  - op: exact_dedup
  - {{op: near_dedup, similarity: {0}, permutations: 128, shingle: 5}}"""
SEMANTIC = "  - {op: semantic_dedup, column: embedding, similarity: 0.9}"
OFFLINE = {"HF_HUB_OFFLINE": "1", "PIP_NO_INDEX": "1", "UV_OFFLINE": "1"}


@dataclass(frozen=True)
class Ours:
    """One of our own recipes, run by `curate run`."""

    name: str
    steps: str
    kind: str

    def run(self, corpus: Path, folder: Path, log: Path) -> tuple[dict[str, float], set[str]]:
        """Run once; returns what it used and the ids of the rows it kept."""
        recipe, out = folder / "recipe.yaml", folder / "out"
        read = READ.get(self.kind, TEXT).format(corpus=corpus)
        recipe.write_text(RECIPE.format(read=read, steps=self.steps, out=out))
        command = [sys.executable, "-m", "curate", "run", str(recipe), "--overwrite"]
        return measure(command, log, env=OFFLINE), self._kept(out)

    def _kept(self, out: Path) -> set[str]:
        """Return the ids in the shards; an image goes by its file name."""
        tables = [
            pa.ipc.open_stream(pa.memory_map(str(shard))).read_all()
            for shard in sorted(out.glob("*/data-*.arrow"))
        ]
        if not tables:
            raise RuntimeError(f"{out}: no shards")
        table = pa.concat_tables(tables, promote_options="permissive")
        if self.kind == "images":
            paths = table["image"].combine_chunks().field("path").to_pylist()
            return {Path(path).name for path in paths}
        return set(table["id"].to_pylist())


@dataclass(frozen=True)
class Peer:
    """A peer's script in its environment."""

    name: str
    environment: str
    script: str
    arguments: tuple[str, ...] = ()
    venvs: Path = VENVS

    @property
    def python(self) -> Path:
        """Return the interpreter of the peer's environment."""
        return self.venvs / self.environment / "bin" / "python"

    def run(self, corpus: Path, folder: Path, log: Path) -> tuple[dict[str, float], set[str]]:
        """Run once; returns what it used and the ids of the rows it kept."""
        output = folder / "kept.txt"
        command = [str(self.python), str(PEERS / self.script), *self.arguments]
        env = {**OFFLINE, "HF_HOME": str(folder / "hf"), "TMPDIR": str(folder)}
        used = measure([*command, str(corpus), str(output)], log, env=env)
        return used, set(output.read_text().splitlines())


OURS = {
    "near": (
        Ours("curate", NEAR.format(0.8), "near"),
        Ours("curate (similarity 0.7)", NEAR.format(0.7), "near"),
    ),
    "exact": (Ours("curate", "  - op: exact_dedup", "exact"),),
    "semantic": (Ours("curate", SEMANTIC, "semantic"),),
    "images": (Ours("curate", "  - op: image_near_dedup", "images"),),
    "template": (Ours("curate", NEAR.format(0.8), "template"),),
    "plain": (Ours("curate", NEAR.format(0.8), "plain"),),
    "blob": (Ours("curate", "  - op: embed\n  - op: semantic_dedup", "blob"),),
}
"""Our entries by kind of work; the first is what ratios are taken of."""

_FAISS = "semantic_faiss.py"
RIVALS = {
    "near": (
        Peer("rensa script", "rensa", "near_rensa.py"),
        Peer("datasketch", "datasketch", "near_datasketch.py"),
        Peer("text-dedup", "text-dedup", "near_text_dedup.py"),
        Peer("Data-Juicer", "data-juicer", "data_juicer.py", ("near",)),
        Peer("datatrove", "datatrove", "near_datatrove.py"),
    ),
    "exact": (
        Peer("pandas script", "pandas", "exact_pandas.py"),
        Peer("text-dedup", "text-dedup", "exact_text_dedup.py"),
        Peer("Data-Juicer", "data-juicer", "data_juicer.py", ("exact",)),
        Peer("datatrove", "datatrove", "exact_datatrove.py"),
    ),
    "semantic": (
        Peer("faiss exact", "faiss", _FAISS, ("exact",)),
        Peer("faiss IVF1024, nprobe 16", "faiss", _FAISS, ("16",)),
        Peer("faiss IVF1024, nprobe 4", "faiss", _FAISS, ("4",)),
        Peer("semhash", "semhash", "semantic_semhash.py"),
    ),
    "images": (
        Peer("imagehash script", "imagehash", "images_imagehash.py"),
        Peer("imagededup", "imagededup", "images_imagededup.py"),
        Peer("cleanvision", "cleanvision", "images_cleanvision.py"),
    ),
    "template": (),
    "plain": (),
    "blob": (),
}


def environments() -> list[str]:
    """Return the names of all environments."""
    return sorted(file.stem for file in (PEERS / "requirements").glob("*.txt"))


def install(environment: str, venvs: Path) -> Path:
    """Make the environment unless it stands as its requirements have it; returns its python.

    The requirements name every package with its version, torch as 2.13.0: where the index at hand
    offers a CPU build of it, no CUDA comes along.
    """
    folder, wanted = venvs / environment, PEERS / "requirements" / f"{environment}.txt"
    stamp, python = folder / "installed.txt", folder / "bin" / "python"
    if not stamp.exists() or stamp.read_bytes() != wanted.read_bytes():
        venv.create(folder, clear=True, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "-r", str(wanted)], check=True, env=os.environ)
        stamp.write_bytes(wanted.read_bytes())
    return python


def packages(python: Path | str) -> dict[str, str]:
    """Return name and version of every package that an interpreter sees."""
    code = (
        "import json, importlib.metadata as m, platform;"
        "found = {d.metadata['Name']: d.version for d in m.distributions()};"
        "print(json.dumps({'python': platform.python_version(), **dict(sorted(found.items()))}))"
    )
    done = subprocess.run([str(python), "-c", code], check=True, stdout=subprocess.PIPE)
    found: dict[str, str] = json.loads(done.stdout)
    return found
