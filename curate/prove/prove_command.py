"""`curate prove`: its options, and what it prints. Imports nothing heavy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curate.prove.prove_progress import Display, proof_display
from curate.recipe.overrides import load, with_overrides
from curate.visible import printable
from pipelines.errors import UserError

if TYPE_CHECKING:
    from curate.prove.prove import Proof

NOT_SUPPORTED = 3
TASKS = ("text_classification", "image_classification", "language_modelling")
ALONE = ("raw", "curated", "out")
"""Options of a proof without a recipe."""
PAIRS = ("tests", "options")


@click.command()
@click.argument("recipe", required=False)
@click.option("--raw", metavar="PATH", help="Data before, in any format; without a RECIPE.")
@click.option("--curated", metavar="PATH", help="Data after.")
@click.option("--test", metavar="PATH", help="Held-out data. Without it: raw's own test split.")
@click.option("--tests", metavar="NAME=PATH", multiple=True, help="Further test data. Repeatable.")
@click.option("--validation", metavar="PATH", help="Data for the estimate shown meanwhile.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the proof; beside CURATED if left out.",
)
@click.option("--task", type=click.Choice(TASKS), help="Told by the columns if left out.")
@click.option("--text", metavar="COLUMN", help="Text column.")
@click.option("--image", metavar="COLUMN", help="Image column.")
@click.option("--label", metavar="COLUMN", help="Label column.")
@click.option("--oracle", metavar="COLUMN", help="Column of raw with the true labels.")
@click.option("--model", metavar="NAME", help="linear, textcnn, cnn, gpt-bpe, …: docs/proof.md.")
@click.option("--profile", type=click.Choice(["smoke", "cpu", "gpu"]), help="How much to train.")
@click.option(
    "--option", "options", metavar="NAME=VALUE", multiple=True, help="rate, batch, … Repeatable."
)
@click.option("--seeds", type=click.IntRange(min=3), help="Paired trainings per arm.")
@click.option("--steps", type=click.IntRange(min=1), help="Training steps of every arm.")
@click.option("--smallest-effect", type=float, metavar="X", help="Smallest gain that matters.")
@click.option("--sizes", type=click.IntRange(0, 10), help="Points on the learning curve.")
@click.option("--rates", metavar="X,Y", help="Factors of the learning rate to try: 0.5,2.")
@click.option("--also", type=click.Choice(["augmented", "warm"]), multiple=True, help="More arms.")
@click.option("--skip", metavar="ARM", multiple=True, help="Control arms to save: rs2@n, anti, …")
@click.option("--attribution/--no-attribution", default=None, help="What is each step worth?")
@click.option("--compress/--no-compress", default=None, help="Compress the model, too.")
@click.option("--processes", type=click.IntRange(min=1), help="Processes that share a training.")
@click.option("--workers", type=click.IntRange(min=1), help="Trainings at a time.")
@click.option("--cache", metavar="DIR", help="Of --attribution: keep rows and signatures there.")
@with_overrides
def prove(
    recipe: str | None, overrides: tuple[str, ...], cache: str | None, **options: Any
) -> None:
    """Measure what curation was worth.

    Trains on raw and on curated data, with controls, and says whether curation helped.
    Give a RECIPE that has run and has a `prove:` section, whose options these override, or
    --raw and --curated: any two datasets. Exits with 0 where a gain is supported, with 3 where it
    is not. Interrupted, the same command goes on where it stopped.
    """
    given = {name: value for name, value in options.items() if value not in (None, ())}
    for name in PAIRS:
        if name in given:
            given[name] = dict(_pairs(name, given[name]))
    if "rates" in given:
        given["rates"] = _numbers(given["rates"])
    if recipe is not None:
        loaded = load(recipe, (*overrides, *_assignments(given)))
        if loaded.prove is None:
            raise UserError(f"{recipe}: no `prove:` section; add `prove: {{task: …, test: …}}`")
        if cache is not None and not loaded.prove.attribution:
            raise click.UsageError("--cache goes with --attribution: nothing else runs the recipe")
        proof = run_proof(lambda display: _of_recipe(loaded, cache, display))
    else:
        _check_alone(given, overrides, cache)
        proof = run_proof(lambda display: _of_directories(given, display))
    raise SystemExit(0 if proof.supported else NOT_SUPPORTED)


def run_proof(make: Callable[[Display], Proof]) -> Proof:
    """Make a proof under a display that suits the terminal, and print what it found."""
    with proof_display() as display:
        proof = make(display)
    from rich.console import Console

    from curate.prove.prove_text import print_result

    print_result(proof.result, proof.place, Console())
    click.echo(printable(proof.verdict))
    return proof


def _of_recipe(recipe: Any, cache: str | None, display: Display) -> Proof:
    from curate.prove.prove import prove_recipe

    return prove_recipe(recipe, cache=cache, display=display)


def _of_directories(given: dict[str, Any], display: Display) -> Proof:
    from curate.prove.prove import prove_directories

    return prove_directories(**given, display=display)


def _check_alone(given: dict[str, Any], overrides: tuple[str, ...], cache: str | None) -> None:
    """Refuse what a proof without a recipe cannot have."""
    if missing := [name for name in ("raw", "curated") if name not in given]:
        options = ", ".join(f"--{name}" for name in missing)
        raise click.UsageError(f"give a RECIPE, or also {options}")
    for asked, name, why in (
        (given.get("attribution"), "--attribution", "whose steps it judges"),
        (cache, "--cache", "whose runs it keeps"),
        (overrides, "--set", "which it changes"),
    ):
        if asked:
            raise click.UsageError(f"{name} needs a RECIPE, {why}")


def _assignments(given: dict[str, Any]) -> Iterator[str]:
    """Yield `--set` assignments for the options that stand in a recipe's section."""
    for name, value in given.items():
        if name in ALONE:
            raise click.UsageError(f"--{name} goes without a RECIPE, whose own data is compared")
        if name in PAIRS:
            yield from (f"prove.{name}.{key}={json.dumps(one)}" for key, one in value.items())
        else:
            yield f"prove.{name}={json.dumps(value)}"


def _pairs(name: str, given: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Yield name and value of NAME=VALUE; a number or true and false are no text."""
    for pair in given:
        key, equals, value = pair.partition("=")
        if not (key and equals and value) or "." in key:
            flag = "--option" if name == "options" else f"--{name}"
            raise click.UsageError(f"{flag} {pair!r}: write NAME=VALUE, the name without dots")
        yield key, value if name == "tests" else _value(value)


def _value(text: str) -> Any:
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return found if isinstance(found, bool | int | float) else text


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise click.UsageError(f"--rates {text!r}: write numbers, as in 0.5,2") from None
