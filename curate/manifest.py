"""The manifest of a run: the one model that writes, reads and documents `_curate/manifest.json`."""

import json
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from pipelines import files
from pipelines.errors import UserError
from pipelines.ledger.counts import Note, RowCounts, StepCounts
from pipelines.options import SCHEMA_DRAFT, Record, absent
from pipelines.output.summary import OURS
from pipelines.output.written import WrittenFile
from pipelines.rows import Columns
from pipelines.rows.profile import ProfileCounts

MANIFEST = f"{OURS}manifest.json"


class Part(Record):
    """A part of the manifest; keys of a later version are passed over."""

    model_config = ConfigDict(extra="ignore")


class Tool(Part):
    """What made the output."""

    name: str
    version: str


class StoredKeys(Part):
    """What one dedup step stored of each row, for runs that are held `against` this one."""

    step: int
    """Its number, from 1."""
    op: str
    options: dict[str, Any]
    """The options that decide what is stored."""
    format: int
    """Raised when tokens, shingles or hashes change."""
    files: tuple[WrittenFile, ...]


class BeforeAndAfter(Part):
    """What the rows look like when they are read and when they are written."""

    before: ProfileCounts
    after: ProfileCounts


class RecipeFile(Part):
    """The resolved recipe, beside the manifest."""

    sha256: str
    file: str


class InputFiles(Part):
    """What was read."""

    fingerprint: str
    """Of names, sizes and stamps of the files."""
    files: int
    bytes: int
    limit: int | None
    """Records that were read at most, null for all."""


class Manifest(Part):
    """What was read, what became of it, and with what it was made."""

    name: str
    """Of the data set."""
    tool: Tool
    created: str
    """When the run ended, in UTC."""
    rows: RowCounts
    steps: tuple[StepCounts, ...]
    """Reading, then the steps of the recipe."""
    dropped_by_reason: dict[str, int]
    shards: tuple[WrittenFile, ...]
    """The files of rows."""
    ledger: tuple[WrittenFile, ...]
    keys: tuple[StoredKeys, ...] | None = Field(default=None, exclude_if=absent)
    """What dedup steps stored for later runs; absent where they stored nothing."""
    columns: Columns
    """Names of the columns with a role."""
    features: dict[str, Any]
    """Hugging Face features of the rows."""
    profile: BeforeAndAfter
    notes: tuple[Note, ...]
    """Where steps had to compromise."""
    declared: tuple[str, ...]
    """What a reader must know of the data."""
    external_data: str
    """Data from outside the corpus that the steps rest on, or `none`."""
    recipe: RecipeFile
    input: InputFiles
    seed: int
    runner: str
    workers: int
    versions: dict[str, str]
    """Of Python and of the libraries that shape the output."""
    seconds: float
    """Wall time of the run."""
    splits: dict[str, int]
    """Rows of each split."""
    damaged_files: tuple[str, ...] | None = Field(default=None, exclude_if=absent)
    """Files that were not read to their end, or changed meanwhile; absent where none was."""
    missing_rows: int | None = Field(default=None, exclude_if=absent)
    """About how many rows are missing of those files."""


def parse_manifest(raw: bytes, path: str) -> Manifest:
    """Return the manifest that a file holds.

    Raises:
        UserError: it is no manifest; says which key is wrong.
    """
    try:
        return Manifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "the whole file"
        raise UserError(
            f"{path}: no manifest of curate ({key}: {first['msg']}); name a folder that "
            "`curate run` wrote"
        ) from None


def read_manifest(out: str) -> Manifest:
    """Return the manifest of an output folder.

    Raises:
        UserError: it is no manifest.
        FileNotFoundError: there is none.
    """
    path = f"{out}/{MANIFEST}"
    return parse_manifest(files.read_bytes(path), path)


def manifest_schema() -> str:
    """Return the JSON Schema of a manifest."""
    schema = Manifest.model_json_schema(by_alias=True, mode="serialization")
    return json.dumps({"$schema": SCHEMA_DRAFT, **schema}, indent=2)
