"""What the types of the recipe's fields say: members of unions, bounds, names for people."""

import re
import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Tag
from pydantic.fields import FieldInfo

SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
SENTENCE_END = re.compile(r"(?<!\bal)(?<!e\.g)(?<!i\.e)\. (?=[A-Z`])")
NAMES = {str: "text", int: "int", float: "number", bool: "true/false", type(None): "null"}


def plain(annotation: Any) -> Any:
    """Return a type without its `Annotated` metadata."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def arms(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, None left out; any other type is its only member."""
    annotation = plain(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(arm for arm in get_args(annotation) if arm is not type(None))
    return (annotation,)


def member(union: Any, label: str) -> Any:
    """Return the member that pydantic calls `label` in an error: by tag, else by type name."""
    for arm in arms(union):
        if label in (tag_of(arm), getattr(plain(arm), "__name__", None)):
            return arm
    return None


def tag_of(annotation: Any) -> str | None:
    """Return the name of a union's member in YAML: its `Tag`, or its `op`, `format` or `task`."""
    for meta in getattr(annotation, "__metadata__", ()):
        if isinstance(meta, Tag):
            return meta.tag
    model = plain(annotation)
    if isinstance(model, type) and issubclass(model, BaseModel):
        for name in ("op", "format"):
            field = model.model_fields.get(name)
            if field is not None and get_origin(field.annotation) is Literal:
                return str(get_args(field.annotation)[0])
    return None


def inner(annotation: Any, part: str | int) -> Any:
    """Return the type that stands at a key or position of a type; None where that is unknown."""
    (only,) = arms(annotation)
    only = plain(only)
    if isinstance(only, type) and issubclass(only, BaseModel):
        field = only.model_fields.get(str(part))
        return field.annotation if field else None
    args = get_args(only)
    if not args:
        return None
    return args[1] if _is_mapping(get_origin(only)) else args[0]


def bounds(field: FieldInfo) -> str:
    """Return the limits of a field as text: `≥ 0, ≤ 1`, `1 or more items`."""
    said = []
    for meta in field.metadata:
        said += [
            f"{sign} {getattr(meta, name):g}"
            for name, sign in SIGNS.items()
            if getattr(meta, name, None) is not None
        ]
        if (fewest := getattr(meta, "min_length", None)) is not None:
            said.append("not empty" if fewest == 1 else f"length ≥ {fewest}")
        if (most := getattr(meta, "max_length", None)) is not None:
            said.append(f"length ≤ {most}")
        if (pattern := getattr(meta, "pattern", None)) is not None:
            said.append(f"matches {pattern}")
    return ", ".join(said)


def type_name(annotation: Any) -> str:
    """Return a type in the words of a YAML writer: `int`, `list of text`, `a | b | null`."""
    annotation = plain(annotation)
    if annotation in NAMES:
        return NAMES[annotation]
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(str(arg) for arg in args)
    if origin in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(type_name(arg) for arg in args))
    if origin in (list, tuple, set, frozenset):
        if origin is tuple and Ellipsis not in args:
            return f"[{', '.join(type_name(arg) for arg in args)}]"
        return f"list of {type_name(args[0])}"
    if _is_mapping(origin):
        return f"mapping of {type_name(args[0])} to {type_name(args[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    return getattr(annotation, "__name__", str(annotation)).lower()


def _is_mapping(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, Mapping)


def first_sentence(text: str | None) -> str:
    """Return the first sentence of a docstring, on one line."""
    line = " ".join((text or "").partition("\n\n")[0].split())
    return SENTENCE_END.split(line, maxsplit=1)[0].rstrip(".") + "." if line else ""
