"""What pydantic finds wrong with a recipe, in the words of someone who writes YAML."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from curate.errors import Place, Problem, shown
from curate.recipe.fieldtypes import arms, bounds, first_sentence, inner, member, plain, tag_of
from pipelines.errors import did_you_mean, either
from pipelines.options import Options

EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list (`- …` lines, or [a, b])",
    "tuple": "a list (`- …` lines, or [a, b])",
    "set": "a list (`- …` lines, or [a, b])",
    "frozen_set": "a list (`- …` lines, or [a, b])",
    "dict": "a mapping (`key: value`)",
    "model": "a mapping (`key: value`)",
    "model_attributes": "a mapping (`key: value`)",
    "path": "a path",
}
"""What a field wants, by the first part of pydantic's `…_type` and `…_parsing` errors."""

LIMITS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
    "multiple_of": ("a multiple of", "multiple_of"),
}


@dataclass(frozen=True)
class _Found:
    """One pydantic error: where it stands and, in a plain union, which union it is about."""

    path: Place
    owner: Any
    field: Any
    union: Place | None
    error: ErrorDetails

    @property
    def expected(self) -> str | None:
        """What type the value should have, where the type is what is wrong."""
        kind = self.error["type"]
        if kind == "literal_error":
            return str(self.error["ctx"]["expected"]).replace("'", "")
        if kind in ("int_from_float", "finite_number"):
            return EXPECTED["int" if kind == "int_from_float" else "float"]
        if kind.endswith(("_type", "_parsing")):
            return EXPECTED.get(kind.rpartition("_")[0])
        return None


def problems_in(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Return one problem for each thing that is wrong, whatever pydantic tried on the way."""
    found = [_find(details, model) for details in error.errors(include_url=False)]
    alternatives: dict[Place, list[_Found]] = {}
    problems = []
    for one in found:
        if one.union is None:
            problems.append(Problem(one.path, _text(one)))
        else:
            alternatives.setdefault(one.union, []).append(one)
    for path, tried in alternatives.items():
        meant = [one for one in tried if one.path != path or one.expected is None]
        if meant:
            problems += [Problem(one.path, _text(one)) for one in meant]
        else:
            wanted = list(dict.fromkeys(str(one.expected) for one in tried))
            problems.append(Problem(path, _wrong_type(tried, wanted)))
    return problems


def _find(error: ErrorDetails, model: type[BaseModel]) -> _Found:
    """Follow pydantic's `loc`, in which names of union members stand between the keys."""
    here: Any = model
    owner: Any = None
    path: Place = ()
    union: Place | None = None
    for part in error["loc"]:
        if len(arms(here)) > 1:
            here = member(here, str(part))
            if tag_of(here) != part:
                union = path
            continue
        owner, here = plain(arms(here)[0]), inner(here, part)
        path = (*path, part)
    return _Found(path, owner, here, union, error)


def _text(one: _Found) -> str:
    error, kind = one.error, one.error["type"]
    value, context = error["input"], error.get("ctx", {})
    if kind == "missing":
        return _missing(one)
    if kind == "extra_forbidden":
        return _unknown_key(one)
    if kind == "union_tag_not_found":
        return _no_tag(one, value, context)
    if kind == "union_tag_invalid":
        return _unknown_tag(one, context)
    if kind in ("value_error", "assertion_error"):
        said = str(context["error"])
        return said if isinstance(value, dict | list) or "got" in said else f"{said}{_got(value)}"
    if kind in LIMITS:
        words, key = LIMITS[kind]
        return f"must be {words} {context[key]:g}{_got(value)}{_allowed(one)}"
    if kind in ("too_short", "string_too_short") and context["min_length"] == 1:
        return "must not be empty"
    if kind.endswith("_type") and isinstance(value, str) and member(one.field, value):
        return f"is only a name; write `{_tag_key(one.field)}: {value}`"
    if one.expected is not None:
        return _wrong_type([one], [one.expected])
    said = error["msg"].removeprefix("Input should ").removeprefix("Value should ")
    said = f"must {said}" if said != error["msg"] else said[:1].lower() + said[1:]
    return f"{said}{_got(value)}"


def _missing(one: _Found) -> str:
    says = first_sentence(_docs(one.owner).get(str(one.path[-1])))
    return f"missing; add `{one.path[-1]}: …`" + (f" ({says.rstrip('.')})" if says else "")


def _unknown_key(one: _Found) -> str:
    key, fields = str(one.path[-1]), list(_fields(one.owner))
    tag = tag_of(one.owner)
    of = tag or (f"`{one.path[-2]}`" if len(one.path) > 1 else "a recipe")
    return f"{of} has no {shown(key)}; allowed: {', '.join(fields)}{did_you_mean(key, fields)}"


def _no_tag(one: _Found, value: object, context: dict[str, Any]) -> str:
    key = str(context["discriminator"]).strip("'")
    tags = _tags(one)
    if isinstance(value, dict) and len(value) == 1 and (name := next(iter(value))) in tags:
        return f"has no `{key}`; write `{key}: {name}` with its options on the lines below"
    return f"has no `{key}`; allowed: {_names(key, tags)}"


def _tags(one: _Found) -> list[str]:
    """Return the names of the models that a field may be."""
    return [tag for arm in arms(one.field) if (tag := tag_of(arm))]


def _tag_key(union: Any) -> str:
    fields = _fields(plain(arms(union)[0]))
    return next(iter(fields.keys() & {"op", "format"}), "name")


def _unknown_tag(one: _Found, context: dict[str, Any]) -> str:
    key, tag = str(context["discriminator"]).strip("'"), str(context["tag"])
    tags, value = _tags(one), one.error["input"]
    got = shown(value.get(key) if isinstance(value, dict) else tag)
    return f"no such {key} {got}; allowed: {_names(key, tags)}{did_you_mean(tag, tags, most=3)}"


def _names(key: str, tags: Sequence[str]) -> str:
    return "see `curate ops`" if key == "op" and len(tags) > 12 else ", ".join(tags)


def _wrong_type(tried: Sequence[_Found], wanted: Sequence[str]) -> str:
    value = tried[0].error["input"]
    quoted = isinstance(value, str) and any("number" in want or "true" in want for want in wanted)
    hint = " in quotes: remove them" if quoted and _is_plain(str(value)) else ""
    choices = _choices(tried)
    near = did_you_mean(value, choices) if isinstance(value, str) else ""
    return f"must be {either(wanted)}{_got(value, hint)}{near}"


def _choices(tried: Iterable[_Found]) -> list[str]:
    names: list[str] = []
    for one in tried:
        if one.error["type"] == "literal_error":
            names += one.expected.replace(" or ", ", ").split(", ") if one.expected else []
    return names


def _is_plain(text: str) -> bool:
    if text in ("true", "false"):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True


def _got(value: object, hint: str = "") -> str:
    if isinstance(value, dict | list) and not value:
        return f" (got an empty {'mapping' if isinstance(value, dict) else 'list'})"
    return f" (got {shown(value)}{hint})"


def _allowed(one: _Found) -> str:
    field = _fields(one.owner).get(str(one.path[-1])) if one.path else None
    allowed = bounds(field) if field else ""
    return f"; allowed: {allowed}" if allowed else ""


def _fields(owner: Any) -> dict[str, Any]:
    if isinstance(owner, type) and issubclass(owner, BaseModel):
        return owner.model_fields
    return {}


def _docs(owner: Any) -> dict[str, str]:
    if isinstance(owner, type) and issubclass(owner, Options):
        return owner.field_docs()
    return {}
