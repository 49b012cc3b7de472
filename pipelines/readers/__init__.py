"""Readers: the `read` section of a recipe, one model a format."""

from typing import Annotated

from pydantic import Field

from pipelines import files
from pipelines.errors import UserError
from pipelines.readers.formats.arrow import Arrow
from pipelines.readers.formats.delimited import Csv
from pipelines.readers.formats.huggingface import HuggingFace
from pipelines.readers.formats.image_files import Images
from pipelines.readers.formats.jsonl import Jsonl
from pipelines.readers.formats.parquet import Parquet
from pipelines.readers.formats.text_files import Text
from pipelines.readers.source import Source

Read = Annotated[
    Jsonl | Csv | Parquet | Arrow | Text | Images | HuggingFace, Field(discriminator="format")
]
"""The `read` section of a recipe; `format` says which of the models it is."""

READERS: dict[str, type[Source]] = {
    str(kind.model_fields["format"].default): kind
    for kind in (Jsonl, Csv, Parquet, Arrow, Images, Text, HuggingFace)
}
"""Readers by the name of their format."""


def guess_format(path: str) -> str:
    """Return the format of a file, or of the first file of a folder or pattern that has one.

    Raises:
        UserError: no such file, or no file name tells.
    """
    for file in files.list_files(path):
        for name, kind in READERS.items():
            if kind.suffixes and file.path.lower().endswith(kind.suffixes):
                return name
    known = ", ".join(ending for kind in READERS.values() for ending in kind.suffixes)
    raise UserError(f"{path}: no file name tells the format; known endings: {known}")


__all__ = [
    "READERS",
    "Arrow",
    "Csv",
    "HuggingFace",
    "Images",
    "Jsonl",
    "Parquet",
    "Read",
    "Source",
    "Text",
    "guess_format",
]
