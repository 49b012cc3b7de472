"""What the metadata files of an image folder say of its images."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pipelines import files, listings
from pipelines.errors import UserError
from pipelines.readers.formats.csv_lines import Dialect, HeldLines, header
from pipelines.readers.formats.csv_records import csv_records
from pipelines.readers.formats.jsonl import parse_lines
from pipelines.readers.formats.parquet import Parquet
from pipelines.readers.line_blocks import Block
from pipelines.readers.reader import Piece
from pipelines.rows import ID, KEY
from pipelines.stores import check_path

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
LARGEST = 1 << 28
"""Bytes of a metadata file, unpacked; it is held in memory as a whole."""
_FILE_NAME = "file_name"
NAMED = 5
"""Files named in one remark."""


class Metadata:
    """Finds the metadata of files; looks into each folder once."""

    def __init__(self) -> None:
        self._folders: dict[str, _Lines | None] = {}

    def of(self, piece: Piece) -> dict[str, Any]:
        """Return the columns that the nearest metadata file has for a file."""
        root = root_of(piece.path, piece.name)
        for folder in upwards(piece.path.rpartition("/")[0], root):
            lines = self._in(folder)
            if lines is not None:
                return lines.of(piece.path[len(folder) + 1 :])
        return {}

    def held_against(
        self, images: Sequence[listings.File], metadata: Sequence[listings.File]
    ) -> tuple[list[tuple[str, int]], list[listings.File]]:
        """Compare the files that are there with those that metadata names.

        Returns:
            What is strange, in words and with a count, and the files that are named and not there.
        """
        if not metadata:
            return [], []
        there = {file.path for file in images}
        root = root_of(images[0].path, images[0].name)
        remarks, absent = [], []
        for file in metadata:
            folder = file.path.rpartition("/")[0]
            lines = self._in(folder)
            assert lines is not None
            lost = [name for name in lines.lost if files.join(folder, name) not in there]
            paths = [files.join(folder, name) for name in lost]
            absent += [listings.File(path, path[len(root) + 1 :], 0) for path in paths]
            about = (
                ("files that are not there", lost),
                ("a file on several lines, of which the last counts", sorted(lines.doubled)),
                ("files by other letters than theirs", sorted(lines.respelled)),
            )
            remarks += [(f"{file.name} names {what}: {_some(n)}", len(n)) for what, n in about if n]
        bare = [file.name for file in images if not self.of(Piece(0, file.path, file.name, 0, 0))]
        if bare:
            remarks.append((f"no line of metadata names these images: {_some(bare)}", len(bare)))
        return remarks, absent

    def _in(self, folder: str) -> _Lines | None:
        if folder not in self._folders:
            file = metadata_file(folder)
            self._folders[folder] = _load(file.path, file.size, file.stamp) if file else None
        return self._folders[folder]


@dataclass
class _Lines:
    """The lines of a metadata file, by the file that each names."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    doubled: set[str] = field(default_factory=set)
    """Files with lines that differ."""
    respelled: dict[str, str] = field(default_factory=dict)
    """Names on lines, by the names of the files that they mean but for case."""
    lost: list[str] = field(default_factory=list)
    """Names on lines of which no file is there."""

    def of(self, name: str) -> dict[str, Any]:
        """Return the columns of a file."""
        return self.rows.get(name) or self.rows.get(self.respelled.get(name, name), {})

    def find(self, folder: str) -> None:
        """Look for the files that are named, under other letters where they are not there."""
        self.lost = [name for name in self.rows if not files.exists(files.join(folder, name))]
        there: dict[str, list[str]] = {}
        for file in listings.list_files(folder) if self.lost else ():
            there.setdefault(file.name.casefold(), []).append(file.name)
        for name in self.lost:
            alike = [one for one in there.get(name.casefold(), ()) if one not in self.rows]
            if len(alike) == 1:
                self.respelled[alike[0]] = name
        meant = set(self.respelled.values())
        self.lost = [name for name in self.lost if name not in meant]


def root_of(path: str, name: str) -> str:
    """Return the folder that the names of a listing are relative to."""
    return path[: len(path) - len(name)].rstrip("/")


def upwards(folder: str, root: str) -> Iterator[str]:
    """Yield a folder and those above it, up to the root of the listing."""
    while len(folder) > len(root):
        yield folder
        folder = folder.rpartition("/")[0]
    yield root


def metadata_file(folder: str) -> listings.File | None:
    """Return the metadata file of a folder."""
    paths = (files.join(folder, name) for name in METADATA)
    return next((listings.list_files(path)[0] for path in paths if files.exists(path)), None)


@lru_cache(maxsize=16)
def _load(path: str, size: int, stamp: str) -> _Lines:
    """Return the columns of each file that a metadata file names; `stamp` tells versions apart."""
    lines = _Lines()
    for number, row in _rows(path, size):
        name = row.pop(_FILE_NAME, None)
        if not isinstance(name, str):
            raise UserError(
                f"{path} line {number} has no {_FILE_NAME!r} (the image's path from this file); "
                f"it has: {', '.join(map(str, row)) or 'nothing'}"
            )
        name = _inside(name, f"{path} line {number}")
        if lines.rows.get(name, row) != row:
            lines.doubled.add(name)
        lines.rows[name] = row
    lines.find(path.rpartition("/")[0])
    return lines


def _inside(name: str, where: str) -> str:
    """Return the path of a file below the metadata file, with slashes only."""
    try:
        check_path(name)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    path = posixpath.normpath(name.replace("\\", "/"))
    if path.startswith(("/", "..")) or path == ".":
        raise UserError(f"{where} names {name!r}, which is not below the folder of that file")
    return path


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")


def _rows(path: str, size: int) -> Iterator[tuple[int, dict[str, Any]]]:
    if size > LARGEST:
        raise UserError(f"{path} has {size:,} bytes; metadata has at most {LARGEST:,}: split it")
    if path.endswith(".parquet"):
        yield from _parquet_rows(path, size)
        return
    try:
        text = files.read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 at byte {error.start}: save it as UTF-8") from error
    if path.endswith(".csv"):
        yield from _csv_rows(path, text)
        return
    for number, line in enumerate(text.split("\n"), 1):
        _, records, errors = parse_lines([line.encode()])
        if errors:
            raise UserError(f"{path} line {number} is broken: {errors[0]}. Mend the line")
        for record in records:
            yield number, record


def _parquet_rows(path: str, size: int) -> Iterator[tuple[int, dict[str, Any]]]:
    number = held = 0
    for chunk in Parquet(path=path).read(Piece(0, path, path, 0, max(1, size))):
        for bad in chunk.bad:
            raise UserError(f"{path} {bad.where} is broken: {bad.error}")
        held += chunk.table.nbytes
        if held > LARGEST:
            raise UserError(f"{path} unpacks to more than {LARGEST:,} bytes: split it by folder")
        names = [name for name in chunk.table.column_names if name not in (KEY, ID)]
        try:
            rows = chunk.table.select(names).to_pylist()
        except (ValueError, OverflowError) as error:  # a year 300,000, say
            raise UserError(f"{path} has a value that cannot be read: {error}") from error
        yield from enumerate(rows, number + 1)
        number += len(rows)


def _csv_rows(path: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    lines, dialect = HeldLines(iter([Block(text.encode(), 0, lambda: 0)])), Dialect(",", '"')
    names = header(lines, dialect, path)
    for _, line, row in csv_records(lines, dialect, len(names)):
        if isinstance(row, str):
            raise UserError(f"{path} line {line + 1} is broken: {row}. Mend the line")
        yield line + 1, dict(zip(names, row, strict=True))
