"""What lies below the paths that a recipe names: files by path, folder or glob, by name."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import UserError
from pipelines.files import absolute, check_utf8, entry_kind, is_folder, is_remote, store_of
from pipelines.walks import HIDDEN, OTHER_KIND, Walk, passed_name

_WILD = "*?["
_STAMPS = ("etag", "ETag", "md5Hash", "checksum", "mtime", "last_modified", "LastModified")


class NoInput(UserError):
    """Nothing is there to read: the path or the pattern matches no file."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a listing."""

    path: str
    """Where to open it: an absolute local path or an fsspec URL."""
    name: str
    """Path relative to the deepest folder that holds all that was listed; the same anywhere."""
    size: int
    """Bytes."""
    stamp: str = ""
    """Modification time or etag where the listing gives it."""


@dataclass(frozen=True)
class Listing:
    """What was found below some paths, by name."""

    files: tuple[File, ...]
    passed: tuple[tuple[str, str], ...] = ()
    """Each entry that was passed over, and why: see `pipelines.walks`."""
    remarks: tuple[tuple[str, int], ...] = ()
    """What else the format found strange, and how often."""

    def said(self) -> list[tuple[str, int]]:
        """Return all that is to be told of the listing, and how often it was found."""
        return [*passed_over(self.passed), *self.remarks]


def list_files(paths: str | Sequence[str], suffixes: Sequence[str] = ()) -> list[File]:
    """Return the files that `look` finds."""
    return list(look(paths, suffixes).files)


def look(
    paths: str | Sequence[str], suffixes: Sequence[str] = (), *, outside: bool = False
) -> Listing:
    """List files by path, folder (searched to the bottom), glob, or several of these, by name.

    Entries whose name begins with `.`, and what engines leave beside data, are passed over below a
    folder or a glob. `suffixes` narrows folders only: a file named outright or by a glob is taken
    whatever it is called. Links out of a folder are followed if `outside`.

    Raises:
        NoInput: one of the paths matches no file.
        UserError: the name of a file is not UTF-8.
    """
    found: dict[str, tuple[int, str]] = {}
    roots: list[str] = []
    passed: list[tuple[str, str]] = []
    for pattern in [paths] if isinstance(paths, str) else paths:
        look_at = _look_remote if is_remote(pattern) else _look_local
        seen: list[tuple[str, str]] = []
        root, entries = look_at(pattern, tuple(s.lower() for s in suffixes), outside, seen)
        if not entries:
            raise NoInput(_nothing(pattern, suffixes) + _except(seen))
        roots.append(root)
        passed += seen
        found.update(entries)
    common = _common(roots)
    for path in found:
        check_utf8("file", path)
    named = [File(path, path.removeprefix(common), *about) for path, about in found.items()]
    return Listing(tuple(sorted(named, key=lambda f: (f.name, f.path))), tuple(passed))


def _except(passed: Sequence[tuple[str, str]]) -> str:
    return "".join(f"; {said}" for said, _ in passed_over(passed))


def passed_over(passed: Sequence[tuple[str, str]]) -> list[tuple[str, int]]:
    """Return one sentence for each reason to pass entries over, and how many there are."""
    by_reason: dict[str, list[str]] = {}
    for name, why in passed:
        by_reason.setdefault(why, []).append(name)
    found = []
    for why, names in sorted(by_reason.items()):
        some = ", ".join(sorted(names)[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        found.append((f"passed over, as {why}: {some}", len(names)))
    return found


_NAMED = 5
"""Entries named in one sentence."""

Entries = dict[str, tuple[int, str]]
"""Size and stamp by path."""


def _look_local(
    pattern: str, suffixes: tuple[str, ...], outside: bool, passed: list[tuple[str, str]]
) -> tuple[str, Entries]:
    path = absolute(pattern)
    if path.is_dir():
        kinds = suffixes or ("",)
        walk = Walk(str(path), wanted=lambda n: n.lower().endswith(kinds), outside=outside)
    elif path.exists():
        return str(path.parent), {str(path): _about(path.stat())}
    else:
        root, rest = _static(str(path), lambda part: Path(part).exists())
        if not rest or not Path(root).is_dir():
            return root, {}
        walk = Walk(root, tuple(rest.split("/")), outside=outside)
    entries = {found: _about(status) for found, status in walk.files()}
    passed += walk.passed
    return walk.root, entries


def _about(status: os.stat_result) -> tuple[int, str]:
    return status.st_size, str(status.st_mtime_ns)


def _look_remote(
    pattern: str, suffixes: tuple[str, ...], outside: bool, passed: list[tuple[str, str]]
) -> tuple[str, Entries]:
    """List what an object store has; it has no links that could lead outside."""
    system, inside = store_of(pattern)
    kinds: tuple[str, ...] = ("",)
    kind = entry_kind(system, inside)
    if kind == "file":
        root, listed, rest = system._parent(inside), {inside: system.info(inside)}, None
    elif any(sign in inside for sign in _WILD):
        root, rest = _static(inside)
        listed = system.glob(inside, detail=True)
    else:
        root, rest, kinds = inside, "", suffixes or ("",)
        listed = system.find(inside, detail=True) if kind == "directory" else {}
    entries: Entries = {}
    for path, info in listed.items():
        if info["type"] != "file":
            continue
        parts = path[len(root) :].strip("/").split("/")
        asked = () if rest is None else tuple(p for p in rest.split("/") if p[:1] in ("_", "."))
        why = next(filter(None, map(passed_name, () if rest is None or asked else parts)), None)
        if why is None and not path.lower().endswith(kinds):
            why = OTHER_KIND
        if why is None:
            about = int(info["size"] or 0), _stamp(info)
            entries[system.unstrip_protocol(path)] = about
        elif why != HIDDEN:
            passed.append(("/".join(parts), why))
    return system.unstrip_protocol(root), entries


def _stamp(info: dict[str, Any]) -> str:
    return next((str(info[name]) for name in _STAMPS if info.get(name)), "")


def _static(pattern: str, exists: Callable[[str], bool] = lambda _: False) -> tuple[str, str]:
    """Split a pattern into the folder before its first wildcard and the rest ("" if none).

    What exists under its name as it stands is no wildcard: a folder may be called `da[t]a`.
    """
    parts = pattern.split("/")
    for i, part in enumerate(parts):
        if any(sign in part for sign in _WILD) and not exists("/".join(parts[: i + 1])):
            return "/".join(parts[:i]) or "/", "/".join(parts[i:])
    return pattern, ""


def _common(roots: list[str]) -> str:
    """Return the deepest folder above all roots, with its slash; "" if there is none."""
    split = [root.rstrip("/").split("/") for root in roots]
    depth = 0
    while all(len(parts) > depth and parts[depth] == split[0][depth] for parts in split):
        depth += 1
    return "/".join(split[0][:depth]) + "/" if depth else ""


def _nothing(pattern: str, suffixes: Sequence[str]) -> str:
    """Say what was looked for and what is there instead."""
    parent = pattern if is_remote(pattern) else str(absolute(pattern))
    while not is_folder(parent) and "/" in parent.rstrip("/") and not parent.endswith("://"):
        parent = parent.rstrip("/").rpartition("/")[0] or "/"
    what = f"no {' or '.join(suffixes)} files in" if suffixes and is_folder(pattern) else "no file"
    if not is_folder(parent):
        return f"{what} {pattern}: no folder above it exists"
    if is_remote(parent):
        system, inside = store_of(parent)
        names = [entry.rstrip("/").rpartition("/")[2] for entry in system.ls(inside, detail=False)]
    else:
        names = [entry.name for entry in Path(parent).iterdir()]
    shown = ", ".join(sorted(names)[:8]) or "nothing"
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"{what} {pattern}: the nearest folder is {parent}, it has {shown}{more}"
