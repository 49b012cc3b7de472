"""Folders of image files."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, ClassVar, Literal

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import files
from pipelines.errors import UserError
from pipelines.readers import folders
from pipelines.readers.formats.csv_lines import Dialect, HeldLines, header
from pipelines.readers.formats.csv_records import csv_records
from pipelines.readers.line_blocks import Block
from pipelines.readers.reader import CHUNK_SIZE, Chunk, ChunkSize, Piece
from pipelines.readers.records import unusable
from pipelines.readers.source import Source, check_reserved
from pipelines.rows.schema import column_of

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_FILE_NAME = "file_name"
NAMED = 5
"""Files named in one remark."""


class Images(Source):
    """A folder of image files: one row per file, as {bytes, path}; nothing is decoded here.

    The first subfolder a file lies in is its label, below those that name splits. A `metadata.csv`,
    `.jsonl` or `.parquet` whose lines name files by `file_name` adds its other columns to the files
    at and below it; a `label` there wins over the folder's name. Files without a line have nulls;
    a file that is named and not there is a row that cannot be read.
    """

    suffixes: ClassVar[tuple[str, ...]] = (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".png", ".gif", ".bmp", ".webp", ".tif"),
        *(".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".svg"),
    )

    format: Literal["images"] = "images"
    """Image folder."""

    @property
    def one_row_per_file(self) -> bool:
        """Whether the listing is one table with one row per file: always."""
        return True

    def look(self) -> files.Listing:
        """List the image files, sorted by name, and those that metadata names and that lack."""
        looked = super().look()
        images = [file for file in looked.files if not _is_metadata(file.path)]
        if not images:
            return looked
        metadata = _Metadata()
        remarks, absent = metadata.held_against(images, self.also_read(images))
        listed = sorted([*images, *absent], key=lambda file: (file.name, file.path))
        passed = tuple(one for one in looked.passed if not _is_metadata(one[0]))
        return files.Listing(tuple(listed), passed, (*looked.remarks, *remarks))

    def also_read(self, listed: Sequence[files.File]) -> list[files.File]:
        """Return the metadata files of all folders that the image files lie in."""
        root = _root(listed[0].path, listed[0].name)
        parents = {file.path.rpartition("/")[0] for file in listed}
        looked = sorted({folder for parent in parents for folder in _upwards(parent, root)})
        found = [file for folder in looked if (file := _metadata_file(folder))]
        return [replace(file, name=file.path[len(root) + 1 :]) for file in found]

    def read(
        self, piece: Piece, *, required: Sequence[str] = (), size: ChunkSize = CHUNK_SIZE
    ) -> Iterator[Chunk]:
        """Yield the row of one file."""
        return self.read_pieces([piece], required, size)

    def read_pieces(
        self, pieces: Sequence[Piece], required: Sequence[str], size: ChunkSize
    ) -> Iterator[Chunk]:
        """Yield the rows of several files in order."""
        metadata = _Metadata()
        for group, contents, errors in folders.batches(pieces, size, _read_image):
            table = self._table(group, contents, metadata)
            columns = self.present(table.column_names)
            for role in required:
                if getattr(columns, role) is None:
                    name = getattr(self, role) or role
                    said = f"no {role} {name!r}: no subfolder or metadata file says it"
                    errors = {**dict.fromkeys(range(len(group)), said), **errors}
            errors = {**unusable(table, columns, required), **errors}
            yield folders.chunk(table, group, columns, errors)

    def _table(
        self, group: list[Piece], contents: list[bytes | None], metadata: _Metadata
    ) -> pa.Table:
        names = [piece.name for piece in group]
        images = pa.StructArray.from_arrays(
            [pa.array(contents, pa.binary()), pa.array(names, pa.string())], ["bytes", "path"]
        )
        columns = {self.image or "image": images}
        labels = [_class_of(piece) for piece in group]
        if any(labels):
            columns[self.label or "label"] = pa.array(labels, pa.string())
        found = [metadata.of(piece) for piece in group]
        for name in dict.fromkeys(name for row in found for name in row):
            if name == (self.image or "image"):
                raise UserError(
                    f"the metadata of {names[0]} has a column {name!r}, which holds the image: "
                    "rename one of them (`read: {image: ...}`)"
                )
            columns[name], _ = column_of([row.get(name) for row in found])
        check_reserved(list(columns), self.id, f"the metadata of {names[0]}")
        return pa.table(columns)


def _is_metadata(path: str) -> bool:
    return path.rpartition("/")[2] in METADATA


def _class_of(piece: Piece) -> str | None:
    """Return the first folder of a file that names neither its split nor a column."""
    parents = [part for part in piece.name.split("/")[:-1] if "=" not in part[1:]]
    return next(iter(parents[1:] if piece.split else parents), None)


def _read_image(piece: Piece) -> bytes:
    try:
        data = files.read_bytes(piece.path)
    except FileNotFoundError:
        raise folders.BadFile("there is no such file: a metadata file names it") from None
    if not data:
        raise folders.BadFile("an image file of zero bytes")
    return data


class _Metadata:
    """Finds the metadata of files; looks into each folder once."""

    def __init__(self) -> None:
        self._folders: dict[str, _Lines | None] = {}

    def of(self, piece: Piece) -> dict[str, Any]:
        """Return the columns that the nearest metadata file has for a file."""
        root = _root(piece.path, piece.name)
        for folder in _upwards(piece.path.rpartition("/")[0], root):
            lines = self._in(folder)
            if lines is not None:
                return lines.of(piece.path[len(folder) + 1 :])
        return {}

    def held_against(
        self, images: Sequence[files.File], metadata: Sequence[files.File]
    ) -> tuple[list[tuple[str, int]], list[files.File]]:
        """Compare the files that are there with those that metadata names.

        Returns:
            What is strange, in words and with a count, and the files that are named and not there.
        """
        if not metadata:
            return [], []
        there = {file.path for file in images}
        root = _root(images[0].path, images[0].name)
        remarks, absent = [], []
        for file in metadata:
            folder = file.path.rpartition("/")[0]
            lines = self._in(folder)
            assert lines is not None
            lost = [name for name in lines.lost if files.join(folder, name) not in there]
            paths = [files.join(folder, name) for name in lost]
            absent += [files.File(path, path[len(root) + 1 :], 0) for path in paths]
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
            file = _metadata_file(folder)
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
        for file in files.list_files(folder) if self.lost else ():
            there.setdefault(file.name.casefold(), []).append(file.name)
        for name in self.lost:
            alike = [one for one in there.get(name.casefold(), ()) if one not in self.rows]
            if len(alike) == 1:
                self.respelled[alike[0]] = name
        meant = set(self.respelled.values())
        self.lost = [name for name in self.lost if name not in meant]


def _root(path: str, name: str) -> str:
    """Return the folder that the names of a listing are relative to."""
    return path[: len(path) - len(name)].rstrip("/")


def _upwards(folder: str, root: str) -> Iterator[str]:
    """Yield a folder and those above it, up to the root of the listing."""
    while len(folder) > len(root):
        yield folder
        folder = folder.rpartition("/")[0]
    yield root


def _metadata_file(folder: str) -> files.File | None:
    """Return the metadata file of a folder."""
    paths = (files.join(folder, name) for name in METADATA)
    return next((files.list_files(path)[0] for path in paths if files.exists(path)), None)


@lru_cache(maxsize=16)
def _load(path: str, size: int, stamp: str) -> _Lines:
    """Return the columns of each file that a metadata file names; `stamp` tells versions apart."""
    lines = _Lines()
    for number, row in _rows(path):
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
    path = posixpath.normpath(name.replace("\\", "/"))
    if path.startswith(("/", "..")) or path == ".":
        raise UserError(f"{where} names {name!r}, which is not below the folder of that file")
    return path


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")


def _rows(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if path.endswith(".parquet"):
        with files.open_arrow(path) as source:
            yield from enumerate(pq.read_table(source).to_pylist(), 1)
        return
    try:
        text = files.read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 at byte {error.start}: save it as UTF-8") from error
    if path.endswith(".csv"):
        yield from _csv_rows(path, text)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise UserError(f"{path} line {number} is broken JSON: {error.msg}") from error
            yield number, row if isinstance(row, dict) else {}


def _csv_rows(path: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    lines, dialect = HeldLines(iter([Block(text.encode(), 0, lambda: 0)])), Dialect(",", '"')
    names = header(lines, dialect, path)
    for _, line, row in csv_records(lines, dialect, len(names)):
        if isinstance(row, str):
            raise UserError(f"{path} line {line + 1} is broken: {row}. Mend the line")
        yield line + 1, dict(zip(names, row, strict=True))
