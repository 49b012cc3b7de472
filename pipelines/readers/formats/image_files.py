"""Folders of image files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar, Literal

import orjson
import pyarrow as pa

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

METADATA = ("metadata.csv", "metadata.jsonl")
_FILE_NAME = "file_name"


class Images(Source):
    """A folder of image files: one row per file, as {bytes, path}; nothing is decoded here.

    The first subfolder a file lies in is its label. A `metadata.csv` or `metadata.jsonl` whose
    lines name files by `file_name` adds its other columns to the files at and below it; a `label`
    there wins over the folder's name. Files without a line have nulls.
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

    def list_files(self) -> list[files.File]:
        """List the image files, sorted by name."""
        listed = files.list_files(self.path, self.suffixes)
        return [file for file in listed if file.path.rpartition("/")[2] not in METADATA]

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
        labels = [name.split("/")[0] if "/" in name else None for name in names]
        if any(labels):
            columns[self.label or "label"] = pa.array(labels, pa.string())
        found = [metadata.of(piece) for piece in group]
        for name in dict.fromkeys(name for row in found for name in row):
            if name == (self.image or "image"):
                raise UserError(
                    f"the metadata of {names[0]} has a column {name!r}, which holds the image: "
                    "rename one of them (`read: {image: ...}`)"
                )
            columns[name] = column_of([row.get(name) for row in found])
        check_reserved(list(columns), self.id, f"the metadata of {names[0]}")
        return pa.table(columns)


def _read_image(piece: Piece) -> bytes:
    data = files.read_bytes(piece.path)
    if not data:
        raise folders.BadFile("an image file of zero bytes")
    return data


class _Metadata:
    """Finds the metadata of files; looks into each folder once."""

    def __init__(self) -> None:
        self._folders: dict[str, dict[str, dict[str, Any]] | None] = {}

    def of(self, piece: Piece) -> dict[str, Any]:
        """Return the columns that the nearest metadata file has for a file."""
        root = _root(piece.path, piece.name)
        for folder in _upwards(piece.path.rpartition("/")[0], root):
            rows = self._in(folder)
            if rows is not None:
                return rows.get(piece.path[len(folder) + 1 :], {})
        return {}

    def _in(self, folder: str) -> dict[str, dict[str, Any]] | None:
        if folder not in self._folders:
            file = _metadata_file(folder)
            self._folders[folder] = _load(file.path, file.size, file.stamp) if file else None
        return self._folders[folder]


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
def _load(path: str, size: int, stamp: str) -> dict[str, dict[str, Any]]:
    """Return the columns of each file that a metadata file names; `stamp` tells versions apart."""
    try:
        text = files.read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 at byte {error.start}: save it as UTF-8") from error
    rows: dict[str, dict[str, Any]] = {}
    for number, row in _rows(path, text):
        name = row.pop(_FILE_NAME, None)
        if not isinstance(name, str):
            raise UserError(
                f"{path} line {number} has no {_FILE_NAME!r} (the image's path from this file); "
                f"it has: {', '.join(map(str, row)) or 'nothing'}"
            )
        rows[name.removeprefix("./")] = row
    return rows


def _rows(path: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
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
