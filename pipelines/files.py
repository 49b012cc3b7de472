"""The one module that opens files: local paths and fsspec URLs (gs://, s3://, hdfs://) alike."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.fs

from pipelines.errors import UserError
from pipelines.store_errors import Guarded, StoreRefused
from pipelines.stores import PACKAGES, check_store, options_of
from pipelines.walks import HIDDEN, OTHER_KIND, Walk, passed_name

_WILD = "*?["
_STAMPS = ("etag", "ETag", "md5Hash", "checksum", "mtime", "last_modified", "LastModified")
_OBJECT_STORES = frozenset(
    {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "cos", "r2", "memory"}
)
"""fsspec protocols of stores where an object is replaced as a whole, and moving is copying."""

TRANSIENT = (BlockingIOError, ConnectionError, TimeoutError)
"""Errors that say nothing about the data: worth another try, never a bad record."""


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


def is_remote(path: str) -> bool:
    """Tell whether `path` is a URL for fsspec; `file://` is local."""
    return "://" in path and not path.startswith("file://")


def _local(path: str) -> Path:
    if "\0" in path:
        raise UserError(f"a path cannot hold a zero byte (got {path[:60]!r})")
    try:
        named = Path(path.removeprefix("file://")).expanduser().absolute()
    except RuntimeError as error:  # `~name` of somebody unknown
        raise UserError(f"{path}: {error}") from None
    _check_utf8("folder or file", str(named))
    return Path(os.path.normpath(named))


def absolute(path: str) -> Path:
    """Return the absolute path of a local file or folder.

    Raises:
        UserError: nothing can have such a name.
    """
    return _local(path)


def _check_utf8(what: str, path: str) -> None:
    """Refuse a name that Arrow and JSON cannot write."""
    if path.encode(errors="ignore").decode() != path:
        shown = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
        raise UserError(f"the name of a {what} is not UTF-8: {shown}; rename it")


def _remote(path: str) -> tuple[Any, str]:
    """Return the file system of a URL, without what it remembers of others' files, and the path."""
    import fsspec

    checked = check_store(path)
    try:
        system, inside = fsspec.core.url_to_fs(checked, **options_of(path))
    except (ValueError, ImportError) as error:  # of a protocol that fsspec does not know, say
        raise UserError(f"{path} cannot be opened: {error}") from None
    system.invalidate_cache()
    return Guarded(system, path), inside


def _kind(system: Any, inside: str) -> str | None:
    """Return `file` or `directory`, None where nothing is there; a refusal is no absence."""
    if not _is_object_store(system):
        return next((k for k in ("file", "directory") if getattr(system, _ASK[k])(inside)), None)
    try:
        return str(system.info(inside)["type"])
    except FileNotFoundError:
        return None


_ASK = {"file": "isfile", "directory": "isdir"}


def _is_object_store(system: Any) -> bool:
    names = system.protocol
    return not _OBJECT_STORES.isdisjoint((names,) if isinstance(names, str) else names)


def join(folder: str, *names: str) -> str:
    """Return the path of `names` under `folder`."""
    return "/".join([folder.rstrip("/"), *names])


def open_input(path: str) -> BinaryIO:
    """Open a file for reading bytes."""
    if is_remote(path):
        system, inside = _remote(path)
        return cast("BinaryIO", system.open(inside, "rb"))
    return _local(path).open("rb")


def open_arrow(path: str) -> pa.NativeFile:
    """Open a file that nobody else writes for Arrow's readers: a memory map where it is local."""
    if is_remote(path):
        return pa.PythonFile(open_input(path), mode="r")
    return pa.memory_map(str(_local(path)), "r")


def arrow_system(folder: str) -> tuple[pa.fs.FileSystem, str]:
    """Return the file system of a folder for Arrow's datasets, and the folder in it."""
    if is_remote(folder):
        system, inside = _remote(folder)
        return pa.fs.PyFileSystem(pa.fs.FSSpecHandler(system)), inside
    return pa.fs.LocalFileSystem(), str(_local(folder))


def open_table(path: str) -> pa.NativeFile:
    """Open a file of the input for Arrow's readers: one that shrinks is an error, not a signal."""
    if is_remote(path):
        return pa.PythonFile(open_input(path), mode="r")
    return pa.OSFile(str(_local(path)), "rb")


def open_output(path: str) -> BinaryIO:
    """Open a file for writing bytes; its folder is made. Write to a temporary name, then rename."""
    if is_remote(path):
        system, inside = _remote(path)
        if not _is_object_store(system):  # there, it would make the bucket of a mistyped name
            system.makedirs(system._parent(inside), exist_ok=True)
        return cast("BinaryIO", system.open(inside, "wb"))
    local = _local(path)
    local.parent.mkdir(parents=True, exist_ok=True)
    return local.open("wb")


def read_bytes(path: str, start: int = 0, stop: int | None = None) -> bytes:
    """Return the bytes [start, stop) of a file; to its end without `stop`."""
    with open_input(path) as file:
        if start:
            file.seek(start)
        return file.read() if stop is None else file.read(max(0, stop - start))


def write_bytes_atomically(path: str, data: bytes) -> None:
    """Write a file so that no reader sees half of it, or none where there was one.

    An object store shows an object once it is whole; elsewhere the file is written under a
    temporary name beside it, then renamed.
    """
    if is_remote(path):
        system, inside = _remote(path)
        if _is_object_store(system):
            system.pipe_file(inside, data)
            return
    folder, _, name = path.rpartition("/")
    temporary = f"{folder}/.{name}.{uuid.uuid4().hex}" if folder else f".{name}.{uuid.uuid4().hex}"
    try:
        with open_output(temporary) as file:
            file.write(data)
        rename(temporary, path)
    except BaseException:
        remove_file(temporary)
        raise


def exists(path: str) -> bool:
    """Tell whether a file or folder is there."""
    if is_remote(path):
        system, inside = _remote(path)
        return _kind(system, inside) is not None
    return _local(path).exists()


def is_folder(path: str) -> bool:
    """Tell whether `path` is a folder that exists."""
    if is_remote(path):
        system, inside = _remote(path)
        return _kind(system, inside) == "directory"
    return _local(path).is_dir()


def list_all(folder: str) -> list[str]:
    """Return the names of all entries of a folder, hidden ones too."""
    if is_remote(folder):
        system, inside = _remote(folder)
        return [str(name) for name in system.ls(inside, detail=False)]
    return [entry.name for entry in _local(folder).iterdir()]


def list_below(folder: str) -> list[str]:
    """Return the paths of all files below a folder, relative to it."""
    return [name for name, _ in _below(folder)]


def size_below(folder: str) -> int:
    """Return the bytes of all files below a folder."""
    return sum(size for _, size in _below(folder))


def _below(folder: str) -> Iterator[tuple[str, int]]:
    """Yield the path, relative to a folder, and the bytes of each file below it."""
    if is_remote(folder):
        system, inside = _remote(folder)
        for name, info in system.find(inside, detail=True).items():
            yield name[len(inside) :].strip("/"), int(info["size"])
        return
    root = _local(folder)
    for path in root.rglob("*"):
        with suppress(OSError):  # gone just now
            if path.is_file():
                yield path.relative_to(root).as_posix(), path.stat().st_size


def make_dirs(path: str) -> None:
    """Make a folder and its parents where they are missing."""
    if is_remote(path):
        system, inside = _remote(path)
        if path.partition("://")[0] in PACKAGES:
            _check_bucket(system, inside, path)
        else:
            system.makedirs(inside, exist_ok=True)
    else:
        _local(path).mkdir(parents=True, exist_ok=True)


def _check_bucket(system: Any, inside: str, path: str) -> None:
    """Refuse a bucket that is not there: none is made for what may be a mistyped name."""
    bucket = inside.partition("/")[0]
    if _kind(system, bucket) is None:
        raise UserError(f"{path}: there is no bucket {bucket!r}, or none that you may see")


def is_object_store(path: str) -> bool:
    """Tell whether a path is on a store that shows an object once it is whole."""
    return is_remote(path) and _is_object_store(_remote(path)[0])


def remove_file(path: str) -> None:
    """Remove a file; one that is not there is fine."""
    if is_remote(path):
        system, inside = _remote(path)
        if _kind(system, inside) is not None:
            system.rm_file(inside)
    else:
        _local(path).unlink(missing_ok=True)


def remove_tree(path: str) -> None:
    """Remove a folder and all in it; one that is not there is fine."""
    if is_remote(path):
        system, inside = _remote(path)
        if _kind(system, inside) is not None:
            system.rm(inside, recursive=True)
            _check_removed(system, inside, path)
    elif _local(path).exists():
        shutil.rmtree(_local(path))


def _check_removed(system: Any, inside: str, path: str) -> None:
    """Refuse what a store kept: asked to remove many objects, it may refuse without an error."""
    system.invalidate_cache()
    if kept := system.find(inside):
        raise StoreRefused(
            f"{path}: the object store does not let {len(kept):,} objects be removed, such as "
            f"{kept[0]}: check what the credentials allow"
        )


def rename(source: str, target: str) -> None:
    """Move a file or folder; a file at `target` is replaced, without a gap where the store can."""
    if is_remote(source) or is_remote(target):
        system, inside = _remote(source)
        _, to = _remote(target)
        if _kind(system, inside) == "directory":
            if _is_object_store(system):
                _move_objects(system, inside, to)
            else:
                system.mv(inside, to, recursive=True)
            return
        if not _is_object_store(system) and system.exists(to):
            system.rm_file(to)
        system.mv(inside, to)
    else:
        _local(source).replace(_local(target))


def _move_objects(system: Any, inside: str, to: str) -> None:
    """Copy the objects below a prefix within the store, then remove them."""
    names = system.find(inside)
    for name in names:
        system.cp_file(name, to + name[len(inside) :])
    system.rm(names)


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
        _check_utf8("file", path)
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
    path = _local(pattern)
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
    system, inside = _remote(pattern)
    kinds: tuple[str, ...] = ("",)
    kind = _kind(system, inside)
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
    parent = pattern if is_remote(pattern) else str(_local(pattern))
    while not is_folder(parent) and "/" in parent.rstrip("/") and not parent.endswith("://"):
        parent = parent.rstrip("/").rpartition("/")[0] or "/"
    what = f"no {' or '.join(suffixes)} files in" if suffixes and is_folder(pattern) else "no file"
    if not is_folder(parent):
        return f"{what} {pattern}: no folder above it exists"
    if is_remote(parent):
        system, inside = _remote(parent)
        names = [entry.rstrip("/").rpartition("/")[2] for entry in system.ls(inside, detail=False)]
    else:
        names = [entry.name for entry in Path(parent).iterdir()]
    shown = ", ".join(sorted(names)[:8]) or "nothing"
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"{what} {pattern}: the nearest folder is {parent}, it has {shown}{more}"
