"""The one module that opens files: local paths and fsspec URLs (gs://, s3://, hdfs://) alike."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.fs

from pipelines.errors import UserError
from pipelines.store_errors import Guarded, StoreRefused
from pipelines.stores import PACKAGES, check_store, options_of

_OBJECT_STORES = frozenset(
    {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "cos", "r2", "memory"}
)
"""fsspec protocols of stores where an object is replaced as a whole, and moving is copying."""

TRANSIENT = (BlockingIOError, ConnectionError, TimeoutError)
"""Errors that say nothing about the data: worth another try, never a bad record."""


def is_remote(path: str) -> bool:
    """Tell whether `path` is a URL for fsspec; `file://` is local."""
    return "://" in path and not path.startswith("file://")


def absolute(path: str) -> Path:
    """Return the absolute path of a local file or folder.

    Raises:
        UserError: nothing can have such a name.
    """
    if "\0" in path:
        raise UserError(f"a path cannot hold a zero byte (got {path[:60]!r})")
    try:
        named = Path(path.removeprefix("file://")).expanduser().absolute()
    except RuntimeError as error:  # `~name` of somebody unknown
        raise UserError(f"{path}: {error}") from None
    check_utf8("folder or file", str(named))
    return Path(os.path.normpath(named))


def check_utf8(what: str, path: str) -> None:
    """Refuse a name that Arrow and JSON cannot write."""
    if path.encode(errors="ignore").decode() != path:
        shown = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
        raise UserError(f"the name of a {what} is not UTF-8: {shown}; rename it")


def store_of(path: str) -> tuple[Any, str]:
    """Return the file system of a URL, without what it remembers of others' files, and the path."""
    import fsspec

    checked = check_store(path)
    try:
        system, inside = fsspec.core.url_to_fs(checked, **options_of(path))
    except (ValueError, ImportError) as error:  # of a protocol that fsspec does not know, say
        raise UserError(f"{path} cannot be opened: {error}") from None
    system.invalidate_cache()
    return Guarded(system, path), inside


def entry_kind(system: Any, inside: str) -> str | None:
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
        system, inside = store_of(path)
        return cast("BinaryIO", system.open(inside, "rb"))
    return absolute(path).open("rb")


def open_arrow(path: str) -> pa.NativeFile:
    """Open a file that nobody else writes for Arrow's readers: a memory map where it is local."""
    if is_remote(path):
        return pa.PythonFile(open_input(path), mode="r")
    return pa.memory_map(str(absolute(path)), "r")


def arrow_system(folder: str) -> tuple[pa.fs.FileSystem, str]:
    """Return the file system of a folder for Arrow's datasets, and the folder in it."""
    if is_remote(folder):
        system, inside = store_of(folder)
        return pa.fs.PyFileSystem(pa.fs.FSSpecHandler(system)), inside
    return pa.fs.LocalFileSystem(), str(absolute(folder))


def open_table(path: str) -> pa.NativeFile:
    """Open a file of the input for Arrow's readers: one that shrinks is an error, not a signal."""
    if is_remote(path):
        return pa.PythonFile(open_input(path), mode="r")
    return pa.OSFile(str(absolute(path)), "rb")


def open_output(path: str) -> BinaryIO:
    """Open a file for writing bytes; its folder is made. Write to a temporary name, then rename."""
    if is_remote(path):
        system, inside = store_of(path)
        if not _is_object_store(system):  # there, it would make the bucket of a mistyped name
            system.makedirs(system._parent(inside), exist_ok=True)
        return cast("BinaryIO", system.open(inside, "wb"))
    local = absolute(path)
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
        system, inside = store_of(path)
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
        system, inside = store_of(path)
        return entry_kind(system, inside) is not None
    return absolute(path).exists()


def is_folder(path: str) -> bool:
    """Tell whether `path` is a folder that exists."""
    if is_remote(path):
        system, inside = store_of(path)
        return entry_kind(system, inside) == "directory"
    return absolute(path).is_dir()


def list_all(folder: str) -> list[str]:
    """Return the names of all entries of a folder, hidden ones too."""
    if is_remote(folder):
        system, inside = store_of(folder)
        return [str(name) for name in system.ls(inside, detail=False)]
    return [entry.name for entry in absolute(folder).iterdir()]


def list_below(folder: str) -> list[str]:
    """Return the paths of all files below a folder, relative to it."""
    return [name for name, _ in _below(folder)]


def size_below(folder: str) -> int:
    """Return the bytes of all files below a folder."""
    return sum(size for _, size in _below(folder))


def _below(folder: str) -> Iterator[tuple[str, int]]:
    """Yield the path, relative to a folder, and the bytes of each file below it."""
    if is_remote(folder):
        system, inside = store_of(folder)
        for name, info in system.find(inside, detail=True).items():
            yield name[len(inside) :].strip("/"), int(info["size"])
        return
    root = absolute(folder)
    for path in root.rglob("*"):
        with suppress(OSError):  # gone just now
            if path.is_file():
                yield path.relative_to(root).as_posix(), path.stat().st_size


def make_dirs(path: str) -> None:
    """Make a folder and its parents where they are missing."""
    if is_remote(path):
        system, inside = store_of(path)
        if path.partition("://")[0] in PACKAGES:
            _check_bucket(system, inside, path)
        else:
            system.makedirs(inside, exist_ok=True)
    else:
        absolute(path).mkdir(parents=True, exist_ok=True)


def _check_bucket(system: Any, inside: str, path: str) -> None:
    """Refuse a bucket that is not there: none is made for what may be a mistyped name."""
    bucket = inside.partition("/")[0]
    if entry_kind(system, bucket) is None:
        raise UserError(f"{path}: there is no bucket {bucket!r}, or none that you may see")


def is_object_store(path: str) -> bool:
    """Tell whether a path is on a store that shows an object once it is whole."""
    return is_remote(path) and _is_object_store(store_of(path)[0])


def remove_file(path: str) -> None:
    """Remove a file; one that is not there is fine."""
    if is_remote(path):
        system, inside = store_of(path)
        if entry_kind(system, inside) is not None:
            system.rm_file(inside)
    else:
        absolute(path).unlink(missing_ok=True)


def remove_tree(path: str) -> None:
    """Remove a folder and all in it; one that is not there is fine."""
    if is_remote(path):
        system, inside = store_of(path)
        if entry_kind(system, inside) is not None:
            system.rm(inside, recursive=True)
            _check_removed(system, inside, path)
    elif absolute(path).exists():
        shutil.rmtree(absolute(path))


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
        system, inside = store_of(source)
        _, to = store_of(target)
        if entry_kind(system, inside) == "directory":
            if _is_object_store(system):
                _move_objects(system, inside, to)
            else:
                system.mv(inside, to, recursive=True)
            return
        if not _is_object_store(system) and system.exists(to):
            system.rm_file(to)
        system.mv(inside, to)
    else:
        absolute(source).replace(absolute(target))


def _move_objects(system: Any, inside: str, to: str) -> None:
    """Copy the objects below a prefix within the store, then remove them."""
    names = system.find(inside)
    for name in names:
        system.cp_file(name, to + name[len(inside) :])
    system.rm(names)
