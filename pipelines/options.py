"""Parts of a recipe: options are fields, and the docstrings below them the documentation."""

import ast
import functools
import inspect
import re
import textwrap
from collections.abc import Sequence
from importlib.metadata import entry_points
from itertools import pairwise
from typing import Annotated, Any, TypeVar, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, GetJsonSchemaHandler

from pipelines.errors import UserError, did_you_mean
from pipelines.stores import check_folder, check_store

SCHEMA_DRAFT = "https://json-schema.org/draft/2020-12/schema"
"""The JSON Schema that schemas of ours are written in."""

StorePath = Annotated[str, AfterValidator(check_store)]
"""A path or URL that can be opened here."""

StoreFolder = Annotated[str, AfterValidator(check_folder)]
"""A folder that can be made here, on a disk or in a bucket."""

Kind = TypeVar("Kind", bound="Options")


def absent(value: object) -> bool:
    """Tell whether a field without a value stays out of the JSON."""
    return value is None


class Documented(BaseModel):
    """A model whose fields are documented by the strings below them."""

    @classmethod
    def field_docs(cls) -> dict[str, str]:
        """Return the docstring below each field.

        Pydantic could read them when it makes a class (`use_attribute_docstrings`), but every start
        would then take a tenth of a second longer; here they are read when somebody asks.
        """
        found: dict[str, str] = {}
        for owner in reversed(cls.__mro__):
            if issubclass(owner, Documented):
                found |= _attribute_docstrings(owner)
        return {name: doc for name, doc in found.items() if name in cls.model_fields}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> Any:
        """Return the JSON Schema with every field described."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, doc in cls.field_docs().items():
            written = cls.model_fields[name].alias or name
            if written in properties:
                properties[written].setdefault("description", doc)
        return schema


class Record(Documented):
    """A frozen value that is written as JSON and read again; unknown fields are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def as_json(self) -> dict[str, Any]:
        """Return the value as plain data, as it is written."""
        return self.model_dump(mode="json", by_alias=True)


class Options(Documented):
    """A part of a recipe: frozen, and without options it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    @classmethod
    def lacks(cls) -> list[str]:
        """Return the methods that this class should have and has not, besides abstract ones."""
        return []


def registered(
    kind: type[Options], tag: str, built_in: Sequence[type[Kind]], group: str
) -> dict[str, type[Kind]]:
    """Return all models of a kind by name: ours, then those of installed packages.

    Args:
        kind: what each of them must be a subclass of.
        tag: the field whose default is the name.
        built_in: ours, in the order in which they are listed.
        group: entry-point group by which packages name theirs.

    Raises:
        UserError: an entry point names something else, or a name that is taken.
    """
    found: dict[str, type[Kind]] = {}
    theirs = ((f"entry point {p.name} of {group}", p.load()) for p in entry_points(group=group))
    for where, model in (*((group, model) for model in built_in), *theirs):
        if not (isinstance(model, type) and issubclass(model, kind)):
            raise UserError(f"{where}: {model!r} is no {kind.__name__}")
        _check_complete(model, tag, where)
        name = str(model.model_fields[tag].default)
        if name in found:
            raise UserError(f"{where}: the {tag} {name!r} is taken")
        found[name] = cast("type[Kind]", model)
    return found


def _check_complete(model: type[Options], tag: str, where: str) -> None:
    """Refuse a model without a name, or without a method that its kind wants."""
    if tag not in model.model_fields or model.model_fields[tag].is_required():
        raise UserError(
            f'{where}: {model.__name__} has no name; write {tag}: Literal["…"] = "…" in it'
        )
    lacks = [*model.__abstractmethods__, *model.lacks()]
    for name in sorted(lacks):
        own = [n for n in vars(model) if callable(getattr(model, n)) and not n.startswith("_")]
        signature = re.sub(r"'|\b[^\W\d]\w*\.", "", str(inspect.signature(getattr(model, name))))
        raise UserError(
            f"{where}: {model.__name__} has no method `{name}{signature}`{did_you_mean(name, own)}"
        )


@functools.cache
def _attribute_docstrings(owner: type) -> dict[str, str]:
    """Return the strings that stand below annotated names of a class; none without its source."""
    try:
        source = textwrap.dedent(inspect.getsource(owner))
    except (OSError, TypeError):
        return {}
    body = next(node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)).body
    found = {}
    for field, below in pairwise(body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[field.target.id] = inspect.cleandoc(str(below.value.value))
    return found
