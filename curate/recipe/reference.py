"""The operators and the schema of recipes, told from the models that implement them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from curate.recipe.fieldtypes import bounds, first_sentence, type_name
from pipelines.errors import UserError, did_you_mean
from pipelines.options import SCHEMA_DRAFT, Options
from pipelines.steps.step import Derive, Filter, Map, Step

KINDS = {
    "map": "change or add columns of each row",
    "filter": "keep or drop each row by itself",
    "corpus": "drop rows after looking at all of them",
    "derive": "make new rows from kept ones; last in a recipe",
}
"""The kinds of operators, in the order of a usual recipe."""


@dataclass(frozen=True)
class Option:
    """One option of an operator, in words."""

    name: str
    type: str
    default: str | None
    """As YAML writes it; None where the option must be given."""
    bounds: str
    doc: str

    @property
    def head(self) -> str:
        """The option, its type and its default on one line."""
        default = "required" if self.default is None else f"default {self.default}"
        return ", ".join(filter(None, (f"{self.name}: {self.type}", self.bounds, default)))


@dataclass(frozen=True)
class Operator:
    """One operator, as `curate ops` tells it."""

    name: str
    kind: str
    summary: str
    doc: str
    needs: tuple[str, ...]
    reasons: tuple[str, ...]
    extra: str | None
    varies: str | None
    options: tuple[Option, ...]


def operators(steps: Mapping[str, type[Step]]) -> list[Operator]:
    """Return all operators, by kind and then by name."""
    order = list(KINDS)
    told = [operator(name, model) for name, model in steps.items()]
    return sorted(told, key=lambda op: (order.index(op.kind), op.name))


def find_operator(name: str, steps: Mapping[str, type[Step]]) -> Operator:
    """Return one operator by name.

    Raises:
        UserError: no such operator.
    """
    if name not in steps:
        near = did_you_mean(name, steps, most=3)
        raise UserError(f"no operator {name!r}{near or '; `curate ops` lists them'}")
    return operator(name, steps[name])


def operator(name: str, model: type[Step]) -> Operator:
    """Return what the model of an operator says about it."""
    doc = _dedented(model.__doc__)
    return Operator(
        name=name,
        kind=operator_kind(model),
        summary=first_sentence(doc),
        doc=doc,
        needs=tuple(_static(model, "needs") or ()),
        reasons=_reasons(model),
        extra=_static(model, "extra"),
        varies=_static(model, "varies"),
        options=options(model, but=("op",)),
    )


def operator_kind(model: type[Step]) -> str:
    """Return the kind of an operator, a key of KINDS."""
    for name, kind in (("map", Map), ("filter", Filter), ("derive", Derive)):
        if issubclass(model, kind):
            return name
    return "corpus"


def options(model: type[Options], but: tuple[str, ...] = ()) -> tuple[Option, ...]:
    """Return the options of a model in the order of its fields."""
    docs = model.field_docs()
    return tuple(
        Option(
            name=name,
            type=type_name(field.annotation),
            default=_default(field),
            bounds=bounds(field),
            doc=" ".join(docs.get(name, "").split()),
        )
        for name, field in model.model_fields.items()
        if name not in but
    )


def recipe_schema() -> str:
    """Return the JSON Schema of recipes, for editors (yaml-language-server) and other tools."""
    from curate.recipe.recipe import Recipe

    schema = Recipe.model_json_schema()
    head = {"$schema": SCHEMA_DRAFT, "title": "curate recipe"}
    return json.dumps({**head, **{k: v for k, v in schema.items() if k != "title"}}, indent=2)


def operator_markdown(told: Operator) -> str:
    """Return one operator as a section of the operator reference."""
    facts = [f"Kind: {told.kind}."]
    facts += [f"{word}: {', '.join(names)}." for word, names in facts_of(told)]
    lines = [f"### `{told.name}`", "", told.doc, "", " ".join(facts)]
    if told.options:
        lines += ["", "| Option | Type | Default | Meaning |", "|---|---|---|---|"]
    for option in told.options:
        default = "required" if option.default is None else f"`{option.default}`"
        kind = ", ".join(filter(None, (option.type, option.bounds))).replace("|", "\\|")
        lines.append(f"| `{option.name}` | {kind} | {default} | {option.doc} |")
    return "\n".join(lines) + "\n"


def facts_of(told: Operator) -> list[tuple[str, tuple[str, ...]]]:
    """Return what an operator needs and gives as (word, names), leaving out what is empty."""
    install = (f"pip install 'curate-proof[{told.extra}]'",) if told.extra else ()
    facts = [
        ("Needs column", told.needs),
        ("Drops rows as", told.reasons),
        ("Install", install),
        ("May differ on another processor", (told.varies,) if told.varies else ()),
    ]
    return [(word, names) for word, names in facts if names]


def _default(field: FieldInfo) -> str | None:
    if field.is_required():
        return None
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return value if isinstance(value, str) and value else json.dumps(value, default=_listed)


def _listed(value: Any) -> Any:
    return sorted(value) if isinstance(value, set | frozenset) else str(value)


def _reasons(model: type[Step]) -> tuple[str, ...]:
    if named := _static(model, "reasons"):
        return tuple(named)
    only = _static(model, "reason")
    return (only,) if isinstance(only, str) else ()


def _static(model: type[Step], name: str) -> Any:
    """Return what a model states on the class; a property speaks for the default options."""
    value = getattr(model, name, None)
    if isinstance(value, property):
        return getattr(model.model_construct(op=model.model_fields["op"].default), name)
    return value


def _dedented(doc: str | None) -> str:
    import inspect

    return inspect.cleandoc(doc or "")
