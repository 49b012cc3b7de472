"""Parts of a recipe: options are fields, and the docstrings below them the documentation."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler


class Options(BaseModel):
    """A part of a recipe: frozen, and without options it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    @classmethod
    def option_docs(cls) -> dict[str, str]:
        """Return the docstring below each option.

        Pydantic could read them when a class is made (`use_attribute_docstrings`), but that takes a
        tenth of a second of every start; who needs them asks.
        """
        found: dict[str, str] = {}
        for owner in reversed(cls.__mro__):
            if issubclass(owner, Options):
                found |= _attribute_docstrings(owner)
        return {name: doc for name, doc in found.items() if name in cls.model_fields}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> Any:
        """Return the JSON Schema with every option described."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, doc in cls.option_docs().items():
            if name in properties:
                properties[name].setdefault("description", doc)
        return schema


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
