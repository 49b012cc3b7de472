"""What stands around the shards: the files that make a folder open with `datasets`."""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from curate.errors import RunFailed
from curate.manifest import MANIFEST, Manifest
from pipelines import files
from pipelines.errors import UserError
from pipelines.output.summary import OURS
from pipelines.output.written import WrittenFile
from pipelines.rows.hf_features import state_json

PLACING = "_curate/incomplete"
"""Object that lies in an output on an object store until the output is complete."""


def write_dataset_files(out: str, written: Iterable[WrittenFile], features: dict[str, Any]) -> None:
    """Write `dataset_dict.json` and each split's `state.json` and `dataset_info.json`.

    Args:
        out: folder of the output.
        written: the files written.
        features: Hugging Face features of the rows.
    """
    shards: dict[str, list[WrittenFile]] = defaultdict(list)
    for one in sorted(written, key=lambda one: one.file):
        if not one.file.startswith(OURS):
            shards[one.file.partition("/")[0]].append(one)
    for split, of_split in shards.items():
        # Caches of `datasets` go by it: any other byte is another fingerprint.
        content = "".join(one.sha256 for one in of_split)
        fingerprint = hashlib.sha256(content.encode()).hexdigest()[:16]
        names = [one.file.partition("/")[2] for one in of_split]
        state = state_json(names, split, fingerprint)
        write_json_file(f"{out}/{split}/state.json", state)
        write_json_file(f"{out}/{split}/dataset_info.json", {"features": features})
    write_json_file(f"{out}/dataset_dict.json", {"splits": sorted(shards)})


def check_place(out: str, inputs: Sequence[str], overwrite: bool) -> None:
    """Refuse an output folder that would destroy or feed the input, or erase what is not ours.

    Args:
        out: the output folder.
        inputs: the paths, folders and globs that are read.
        overwrite: whether an earlier output may be replaced.

    Raises:
        UserError: it lies around or inside the input, or holds something else than an output.
        FileExistsError: an output is there and may not be replaced.
    """
    for given in inputs:
        fixed = re.split(r"[^/]*[*?\[]", given, maxsplit=1)[0].rstrip("/") or "/"
        deep = (given == fixed and files.is_folder(given)) or "**" in given
        if f"{fixed}/".startswith(f"{out.rstrip('/')}/"):
            raise UserError(f"the output {out} holds the input {given}: write to another folder")
        if deep and out.startswith(f"{fixed}/"):
            raise UserError(
                f"the output {out} lies inside the input {given}, and the next run would read it: "
                "write to another folder"
            )
    if not files.exists(out):
        return
    ours = files.exists(f"{out}/{MANIFEST}") or files.exists(f"{out}/{PLACING}")
    if not ours and (not files.is_folder(out) or files.list_all(out)):
        raise UserError(
            f"{out} is there and is no output of curate, so it is not replaced: write elsewhere"
        )
    if not overwrite and files.exists(f"{out}/{MANIFEST}"):
        raise FileExistsError(
            f"{out} is already there; use --overwrite to replace it or --out for another place"
        )


def place_output(source: str, target: str) -> None:
    """Move a finished folder to its place; what was there goes only once the new one stands.

    A rename on disks. An object store copies object by object, so there the manifest comes last:
    an output without one is not complete.
    """
    if files.is_object_store(target):
        _copy_into_place(source, target)
        return
    aside = f"{target}.replaced"
    files.remove_tree(aside)
    if files.exists(target):
        files.rename(target, aside)
    try:
        files.rename(source, target)
    except BaseException:
        if files.exists(aside):
            files.rename(aside, target)
        raise
    files.remove_tree(aside)


def _copy_into_place(source: str, target: str) -> None:
    """Copy an output within an object store: the old manifest goes first, the new one comes last.

    Meanwhile a mark says that what lies there is on its way, so that a later run may replace it.
    """
    manifest = files.read_bytes(f"{source}/{MANIFEST}")
    files.write_bytes_atomically(f"{target}/{PLACING}", b"this output is not complete yet\n")
    files.remove_file(f"{target}/{MANIFEST}")
    stale = set(files.list_below(target)) - {PLACING}
    files.remove_file(f"{source}/{MANIFEST}")
    new = set(files.list_below(source))
    try:
        files.rename(source, target)
    except BaseException:
        files.write_bytes_atomically(f"{source}/{MANIFEST}", manifest)
        raise
    for name in sorted(stale - new):
        files.remove_file(f"{target}/{name}")
    files.write_bytes_atomically(f"{target}/{MANIFEST}", manifest)
    files.remove_file(f"{target}/{PLACING}")


def check_files(out: str, manifest: Manifest) -> None:
    """Check that an output has the files its manifest lists: on a disk by hash, elsewhere by name.

    Raises:
        RunFailed: a file is missing or another one.
    """
    keys = [one for step in manifest.keys or () for one in step.files]
    for one in (*manifest.shards, *manifest.ledger, *keys):
        path = f"{out}/{one.file}"
        if not files.exists(path):
            raise RunFailed(f"{path} is in the manifest and not there: run the recipe again")
        if not files.is_remote(path) and _sha256(path) != one.sha256:
            raise RunFailed(f"{path} is not the file that was written: run the recipe again")


def _sha256(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json_file(path: str, value: Any) -> None:
    """Write a value as indented JSON."""
    files.write_bytes_atomically(path, json.dumps(value, indent=2, ensure_ascii=False).encode())


def write_text(path: str, text: str) -> None:
    """Write a text file."""
    files.write_bytes_atomically(path, text.encode("utf-8", "backslashreplace"))
