"""Readers: the `read` section of a recipe, one model a format."""

from typing import Annotated

from pydantic import Field

from pipelines.readers.arrow import Arrow
from pipelines.readers.delimited import Csv
from pipelines.readers.huggingface import HuggingFace
from pipelines.readers.images import Images
from pipelines.readers.jsonl import Jsonl
from pipelines.readers.parquet import Parquet
from pipelines.readers.source import Source
from pipelines.readers.text import Text

Read = Annotated[
    Jsonl | Csv | Parquet | Arrow | Text | Images | HuggingFace, Field(discriminator="format")
]
"""The `read` section of a recipe; `format` says which of the models it is."""

__all__ = ["Arrow", "Csv", "HuggingFace", "Images", "Jsonl", "Parquet", "Read", "Source", "Text"]
