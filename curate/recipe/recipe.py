"""The recipe: what YAML may say, how it is loaded, and how it is written back in full."""

import io
import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
)
from ruamel.yaml import YAML

from curate.errors import Problem, RecipeError
from curate.recipe.checks import whole_recipe
from curate.recipe.document import Document, read_document
from curate.recipe.problems import problems_in
from curate.recipe.prove_section import Prove
from pipelines.errors import UserError, did_you_mean
from pipelines.options import Options, StoreFolder, StorePath
from pipelines.output.formats import ARROW, FORMATS
from pipelines.readers import Read
from pipelines.steps import AnyStep
from pipelines.steps.step import Step
from pipelines.storage_options import check_public, check_storage, secrets_in
from pipelines.stores import Storage

Made = TypeVar("Made", bound="Recipe")

UNITS = {"": 1, "B": 1}
UNITS |= {f"{p}B": 1000**n for n, p in enumerate("KMGT", 1)}
UNITS |= {f"{p}iB": 1024**n for n, p in enumerate("KMGT", 1)}


def parse_size(value: object) -> object:
    """Return bytes from `256MB` (powers of 1000), `256MiB` (powers of 1024) or a plain number.

    Raises:
        UserError: neither.
    """
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", value)
    unit = found and next((u for u in UNITS if u.upper() == found[2].upper()), None)
    if found is None or unit is None:
        raise UserError(
            f"not a size (got {value!r}); write a number of bytes or a number with one of "
            f"{', '.join(u for u in UNITS if u)}, as in 256MB"
        )
    return round(float(found[1]) * UNITS[unit])


def parse_seconds(value: object) -> object:
    """Return seconds from `90s`, `10m`, `2h` or a plain number.

    Raises:
        UserError: neither.
    """
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", value)
    if found is None:
        raise UserError(f"not a time (got {value!r}); write seconds, or 90s, 10m or 2h")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def parse_quarantine(value: float) -> float:
    """Return `max_quarantined`, a count (whole number) or a fraction (below 1).

    Raises:
        UserError: negative, or a number with a point that is 1 or more.
    """
    if isinstance(value, float) and not 0 <= value < 1:
        whole = f"; for a count of rows write {value:.0f}" if value >= 1 and value < 1e18 else ""
        raise UserError(f"neither a count (1, 2, …) nor a fraction (0 ≤ x < 1), got {value}{whole}")
    if value < 0:
        raise UserError(f"must not be negative (got {value}); 0 allows none")
    return value


class Write(Options):
    """Where the clean shards and the ledger go."""

    path: StoreFolder = Field(min_length=1)
    """Output folder. Relative paths start at the folder where `curate` is called."""
    shard_size: Annotated[
        int, Field(gt=0), BeforeValidator(parse_size, json_schema_input_type=int | str)
    ] = 256_000_000
    """Target size of a shard: bytes, or a text such as 256MB or 256MiB."""
    overwrite: bool = False
    """Replace an output that is already there; without it such a run is refused."""
    format: str = Field(default=ARROW, exclude_if=lambda name: name == ARROW)
    """How the rows are written. `arrow`: files that `load_dataset` and `load_from_disk` open."""
    keys: bool = False
    """Also store what dedup steps compare rows by, so that a later delivery can be held `against`
    this output without its rows: some 50 bytes per row for exact_dedup, 4 per word for
    near_dedup."""

    @field_validator("format")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in FORMATS:
            allowed = f"allowed: {', '.join(FORMATS)}{did_you_mean(name, FORMATS)}"
            raise UserError(f"unknown format {name!r}; {allowed}")
        return name


class Run(Options):
    """Which engine runs the recipe; the command line can say otherwise."""

    runner: str = Field(default="local", min_length=1)
    """local, dask, flink, spark, dataflow, or the full name of a Beam runner class."""
    workers: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """Worker processes of the local runner; auto takes what suits the machine."""
    cache: StorePath | None = Field(default=None, min_length=1)
    """Folder in which rows and signatures stay, so that a later run on the same input takes up the
    steps it has in common. It grows with every recipe that is tried; remove it when done."""
    stalled_after: (
        Annotated[
            float,
            Field(ge=1),
            BeforeValidator(parse_seconds, json_schema_input_type=float | str),
        ]
        | None
    ) = None
    """Seconds, or text such as 10m, after which a run in which nothing moves is given up, with the
    step, file and rows where it hangs; off by default. Must be longer than the slowest batch of a
    step takes. For the runners local and dask."""
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Options handed to the runner as they stand."""

    @field_validator("options")
    @classmethod
    def _public(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name, value in options.items():
            check_public((name,), value)
        return options


class Recipe(Options):
    """One run: what to read, the steps in order, where to write."""

    name: str = Field(min_length=1)
    """Name of the data set; stands on its card and in the report."""
    seed: int = Field(default=0, ge=0)
    """All randomness comes from it: same recipe, same data, same seed, same rows."""
    notes: tuple[str, ...] = ()
    """What a reader must know of the data, such as injected defects; printed in every report."""
    max_quarantined: Annotated[int | float, AfterValidator(parse_quarantine)] = 0.01
    """Rows that may be quarantined before the run fails: a count or a fraction.

    A whole number from 1 on is a count, a number below 1 a fraction of the rows read; 0 allows
    none.
    """
    read: Read
    """What to read. Relative paths start at the folder where `curate` is called."""
    steps: tuple[AnyStep, ...] = ()
    """Operators in the order they run; `curate ops` lists them."""
    write: Write
    """Where the output goes."""
    prove: Prove | None = None
    """How `curate prove` measures what the curation was worth."""
    run: Run = Run()
    """Which engine runs it."""
    storage: Annotated[Storage, BeforeValidator(check_storage)] = Field(
        default_factory=dict, exclude_if=lambda given: not given
    )
    """How object stores are reached, by protocol, such as s3: {endpoint_url: …, anon: true}: what
    fsspec's file system of that protocol takes. Secrets stay in the environment or in profiles."""


def load_recipe(
    path: str | Path,
    overrides: Iterable[str] = (),
    *,
    model: type[Made] = Recipe,  # type: ignore[assignment]
) -> Made:
    """Load and check a recipe; nothing is read but the file itself.

    Args:
        path: the YAML file.
        overrides: assignments on top of it, as in `--set steps.2.similarity=0.9`; steps count
            from 1, or go by op where it stands once.
        model: the recipe class to build.

    Raises:
        RecipeError: everything that is wrong, each with its line.
    """
    try:
        raw = Path(path).read_bytes()
    except FileNotFoundError:
        raise RecipeError([f"{path}: no such file{_similar_files(Path(path))}"]) from None
    except OSError as error:
        raise RecipeError([f"{path}: cannot be read: {error.strerror}"]) from None
    except ValueError:  # a zero byte
        raise RecipeError([f"{str(path)!r}: no file can have such a name"]) from None
    document = read_document(str(path), raw)
    wrong: list[str] = []
    for assignment in overrides:
        try:
            document.override(assignment)
        except RecipeError as error:
            wrong += error.messages
    return _build(document, model, wrong)


def recipe_yaml(recipe: Recipe) -> str:
    """Return a recipe as YAML with every default filled in; it loads back to an equal one."""
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 4096
    out = io.StringIO()
    yaml.dump(recipe.model_dump(mode="json"), out)
    return out.getvalue()


def quarantine_budget(recipe: Recipe, rows: int) -> int:
    """Return how many of `rows` may be quarantined."""
    allowed = recipe.max_quarantined
    return allowed if isinstance(allowed, int) else math.floor(allowed * rows)


def _build(document: Document, model: type[Made], wrong: list[str]) -> Made:
    """Validate a document, collecting what pydantic finds and what only the whole shows."""
    union = get_args(model.model_fields["steps"].annotation)[0]
    problems: list[Problem] = []
    try:
        recipe = model.model_validate_json(_json(document.data), strict=True)
    except ValidationError as error:
        problems = problems_in(error, model)
        problems += whole_recipe(*_sound_parts(document.data, model, union), union)
        problems += _secrets(document, problems)
        raise RecipeError(wrong + document.messages(problems)) from None
    problems = [*whole_recipe(recipe.read, recipe.steps, union), *_secrets(document, ())]
    messages = wrong + document.messages(problems)
    if messages:
        raise RecipeError(messages)
    return recipe


def _secrets(document: Document, found: Iterable[Problem]) -> list[Problem]:
    """Return where a recipe holds secrets in URLs, beside the problems found already."""
    known = {problem.path for problem in found}
    secret = [Problem(place, said) for place, said in secrets_in(document.data)]
    return [one for one in secret if one.path not in known and one.path[:1] != ("storage",)]


def _sound_parts(
    data: dict[str, Any], model: type[Recipe], union: Any
) -> tuple[Any, list[Step | None]]:
    """Return `read` and the steps of a recipe that is wrong elsewhere; None where they are."""

    def sound(adapter: TypeAdapter[Any], value: object) -> Any:
        try:
            return adapter.validate_json(_json(value), strict=True)
        except ValidationError:
            return None

    field = model.model_fields["read"]
    read: TypeAdapter[Any] = TypeAdapter(cast("Any", Annotated[field.annotation, field]))
    step: TypeAdapter[Any] = TypeAdapter(union)
    steps = data.get("steps")
    return (
        sound(read, data.get("read")),
        [sound(step, value) for value in steps] if isinstance(steps, list) else [],
    )


def _json(value: object) -> str:
    """Return plain data as JSON, in which pydantic is strict about types but not about tuples."""
    return json.dumps(value, default=str)


def _similar_files(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (and no folder {path.parent})"
    names = [str(p) for p in path.parent.iterdir() if p.suffix in (".yaml", ".yml")]
    return did_you_mean(str(path), names)
