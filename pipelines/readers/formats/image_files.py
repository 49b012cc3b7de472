"""Folders of image files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import pyarrow as pa

from pipelines import files, listings
from pipelines.errors import UserError
from pipelines.readers import folders
from pipelines.readers.formats.image_metadata import (
    METADATA,
    Metadata,
    metadata_file,
    root_of,
    upwards,
)
from pipelines.readers.line_blocks import LONGEST_LINE
from pipelines.readers.reader import CHUNK_SIZE, Chunk, ChunkSize, Piece
from pipelines.readers.records import unusable
from pipelines.readers.source import Source, check_reserved
from pipelines.rows.schema import column_of

LARGEST_IMAGE = LONGEST_LINE
"""Bytes of an image file that are read; a larger one is a row that cannot be read."""


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

    def look(self) -> listings.Listing:
        """List the image files, sorted by name, and those that metadata names and that lack."""
        looked = super().look()
        images = [file for file in looked.files if not _is_metadata(file.path)]
        if not images:
            return looked
        metadata = Metadata()
        remarks, absent = metadata.held_against(images, self.also_read(images))
        listed = sorted([*images, *absent], key=lambda file: (file.name, file.path))
        passed = tuple(one for one in looked.passed if not _is_metadata(one[0]))
        return listings.Listing(tuple(listed), passed, (*looked.remarks, *remarks))

    def also_read(self, listed: Sequence[listings.File]) -> list[listings.File]:
        """Return the metadata files of all folders that the image files lie in."""
        root = root_of(listed[0].path, listed[0].name)
        parents = {file.path.rpartition("/")[0] for file in listed}
        looked = sorted({folder for parent in parents for folder in upwards(parent, root)})
        found = [file for folder in looked if (file := metadata_file(folder))]
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
        metadata = Metadata()
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
        self, group: list[Piece], contents: list[bytes | None], metadata: Metadata
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
        data = files.read_bytes(piece.path, 0, LARGEST_IMAGE + 1)
    except FileNotFoundError:
        raise folders.BadFile("there is no such file: a metadata file names it") from None
    if not data:
        raise folders.BadFile("an image file of zero bytes")
    if len(data) > LARGEST_IMAGE:
        raise folders.BadFile(f"an image file of more than {LARGEST_IMAGE:,} bytes")
    return data
