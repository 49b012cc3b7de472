"""What `curate plan` prints: its options parsed, its answer as text or JSON."""

import json
from collections.abc import Callable

from rich.console import Console

from curate.plan.numbers import parse_bytes, parse_count
from curate.plan.plan import plan_recipe
from curate.plan.plan_text import print_plan
from curate.plan.sweep import sweep_recipe
from curate.plan.sweep_text import print_sweep
from curate.recipe.recipe import load_recipe


def cost_lines(
    recipe: str,
    overrides: tuple[str, ...],
    as_json: bool,
    *,
    rows: str | None = None,
    total_bytes: str | None = None,
    row_bytes: str | None = None,
    workers: int | None = None,
    limit: int | None = None,
) -> str:
    """Return the plan of a recipe.

    Raises:
        UserError: the recipe or an option is wrong.
    """
    plan = plan_recipe(
        load_recipe(recipe, overrides),
        rows=None if rows is None else parse_count(rows),
        total_bytes=None if total_bytes is None else parse_bytes(total_bytes),
        row_bytes=None if row_bytes is None else parse_bytes(row_bytes),
        workers=workers,
        limit=limit,
    )
    if as_json:
        return json.dumps(plan.as_json(), indent=2, ensure_ascii=False) + "\n"
    return printed(lambda console: print_plan(plan, console))


def sweep_lines(
    recipe: str,
    overrides: tuple[str, ...],
    as_json: bool,
    *,
    sweep: str,
    workers: int | None = None,
    limit: int | None = None,
    cache: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> str:
    """Return what each value of one option drops.

    Raises:
        UserError: the recipe or an option is wrong.
    """
    found = sweep_recipe(
        recipe, overrides, sweep, workers=workers, limit=limit, cache=cache, progress=progress
    )
    if as_json:
        return json.dumps(found.as_json(), indent=2, ensure_ascii=False) + "\n"
    return printed(lambda console: print_sweep(found, console))


def printed(write: Callable[[Console], None]) -> str:
    """Return what is written to a console of the terminal's width."""
    console = Console()
    with console.capture() as capture:
        write(console)
    return capture.get()
