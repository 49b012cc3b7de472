"""Readers: the `read` section of a recipe, one model per format; packages may bring their own."""

from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Field

from pipelines import listings
from pipelines.errors import UserError
from pipelines.options import registered
from pipelines.readers.formats.arrow import Arrow
from pipelines.readers.formats.delimited import Csv
from pipelines.readers.formats.huggingface import HuggingFace
from pipelines.readers.formats.image_files import Images
from pipelines.readers.formats.jsonl import Jsonl
from pipelines.readers.formats.parquet import Parquet
from pipelines.readers.formats.text_files import Text
from pipelines.readers.source import Source

GROUP = "curate.readers"
"""Entry-point group of formats that other packages bring."""

BUILT_IN: tuple[type[Source], ...] = (Jsonl, Csv, Parquet, Arrow, Text, Images, HuggingFace)

READERS: dict[str, type[Source]] = registered(Source, "format", BUILT_IN, GROUP)
"""Readers by the name of their format."""

if TYPE_CHECKING:
    Read = Source
else:
    Read: Any = Annotated[Union[tuple(READERS.values())], Field(discriminator="format")]  # noqa: UP007
    """The `read` section of a recipe; `format` says which of the models it is."""


def guess_format(path: str) -> str:
    """Return the format of a file, or of the first file of a folder or pattern that has one.

    Raises:
        UserError: no such file, or no file name tells.
    """
    for file in listings.list_files(path):
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
