"""`--set` and how a command loads its recipe with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from curate.recipe.recipe import Recipe

Command = TypeVar("Command", bound=Callable[..., Any])


def with_overrides(command: Command) -> Command:
    """Add `--set`, which may be given more than once."""
    return click.option(
        "--set",
        "overrides",
        metavar="PATH=VALUE",
        multiple=True,
        help="Override an option: steps.2.similarity=0.9 (steps count from 1), or by op where it "
        "stands once: steps.near_dedup.similarity=0.9. VALUE is YAML. Repeatable.",
    )(command)


def load(recipe: str, overrides: tuple[str, ...], out: str | None = None) -> Recipe:
    """Load a recipe with what the command line says on top of it."""
    from curate.recipe.recipe import load_recipe

    if out is not None:
        import json

        overrides = (*overrides, f"write.path={json.dumps(out)}")
    return load_recipe(recipe, overrides)
