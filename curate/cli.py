"""The command line. Imports nothing heavy: each command fetches what it needs when it runs."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curate.exits import Commands
from curate.prove.prove_command import prove as prove_command
from curate.prove.prove_command import run_proof
from curate.recipe.overrides import load, with_overrides
from curate.visible import printable
from pipelines.errors import UserError, counted

if TYPE_CHECKING:
    from curate.recipe.reference import Operator

QUIET_SECONDS = 5.0


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="curate-proof", prog_name="curate")
@click.option("--traceback", is_flag=True, help="Show tracebacks of user errors too.")
def main(traceback: bool) -> None:
    """Clean a text or image corpus, account for every row, and prove what that was worth.

    Exit codes: 0 done; 1 the run failed; 2 something to correct in the recipe, the options or
    the files; 3 `prove` found no support for a gain; 130 interrupted.
    """
    # Modules and Beam's graph are many objects and no garbage, so it is looked for less often.
    gc.set_threshold(100_000, 50, 50)
    # Parallel over processes, one thread each: before numpy is imported, unless the user says so.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")


@main.command()
@click.argument("recipe")
@click.option("--runner", metavar="NAME", help="local, dask, flink, spark, dataflow or a class.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes of the local runner.")
@click.option("--out", metavar="DIR", help="Write here instead of the recipe's `write: path`.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Read only N rows.")
@with_overrides
@click.option("--prove/--no-prove", help="Then measure what the curation was worth.")
@click.option("--overwrite", is_flag=True, help="Replace an output that is already there.")
@click.option("--cache", metavar="DIR", help="Keep rows and signatures there for later runs.")
@click.argument("runner_options", nargs=-1, type=click.UNPROCESSED, metavar="[-- RUNNER OPTIONS]")
def run(
    recipe: str,
    runner: str | None,
    workers: int | None,
    out: str | None,
    limit: int | None,
    overrides: tuple[str, ...],
    prove: bool,
    overwrite: bool,
    cache: str | None,
    runner_options: tuple[str, ...],
) -> None:
    """Run RECIPE: read, clean, write shards and the ledger.

    What follows `--` goes to the runner: `curate run r.yaml --runner dataflow -- --project=p`.
    """
    if runner_options and not runner_options[0].startswith("-"):
        raise click.UsageError(
            f"unexpected argument {runner_options[0]!r}: one recipe per run; the runner's own "
            "options follow `--`"
        )
    loaded = load(recipe, overrides, out)
    if prove and loaded.prove is None:
        raise UserError(f"{recipe}: --prove needs a `prove:` section in the recipe")
    if prove:
        from curate.prove.prove_data import check_provable

        check_provable(loaded)
    from rich.console import Console

    from curate.run.run import run_recipe
    from curate.run.run_text import print_run

    with progress() as (tell, say):
        result = run_recipe(
            loaded,
            runner=runner,
            workers=workers,
            limit=limit,
            overwrite=overwrite,
            cache=cache,
            runner_options=runner_options,
            progress=tell,
            say=say,
        )
    print_run(result.manifest, Console())
    click.echo(printable(f"output  {result.out}\nreport  {result.report}"))
    if prove:
        from curate.prove.prove import prove_recipe

        run_proof(lambda display: prove_recipe(loaded, display=display))


@main.command()
@click.argument("recipe")
@click.option("--rows", metavar="N", help="Plan for so many rows: 1000000, 1e9, 10M, 10B.")
@click.option("--bytes", "total_bytes", metavar="SIZE", help="Or for so much content: 10TB.")
@click.option("--row-bytes", metavar="SIZE", help="Content of a row, instead of the sample's: 2kB.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes of the local runner.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Read only N rows.")
@with_overrides
@click.option(
    "--sweep", metavar="OPTION=VALUES", help="Try values: near_dedup.similarity=0.7..0.9."
)
@click.option("--cache", metavar="DIR", help="Of --sweep: keep rows and signatures there.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def plan(
    recipe: str,
    overrides: tuple[str, ...],
    as_json: bool,
    sweep: str | None,
    cache: str | None,
    workers: int | None,
    limit: int | None,
    **size: Any,
) -> None:
    """Tell what RECIPE would read, do and cost, without running it.

    Reads the first rows of the input, and of the target of a `dsir` step. Time, memory and shuffle
    come from a cost model fitted to measured runs. With --sweep the steps up to that one do run,
    once for each value, and the rows each value drops are counted:
    `--sweep near_dedup.similarity=0.7..0.95:0.05` (first, last, step) or `=0.7,0.8,0.9`.
    """
    if sweep is None and cache is not None:
        raise UserError("--cache goes with --sweep: a plan runs nothing that could be kept")
    if sweep is not None and any(value is not None for value in size.values()):
        raise UserError("--sweep runs on the input as it is: without --rows, --bytes, --row-bytes")
    from curate.plan.plan_command import cost_lines, sweep_lines

    given: dict[str, Any] = {"workers": workers, "limit": limit}
    with progress() as (tell, _):
        if sweep is None:
            tell("reading the first rows")
            said = cost_lines(recipe, overrides, as_json, **size, **given)
        else:
            given |= {"cache": cache, "progress": tell}
            said = sweep_lines(recipe, overrides, as_json, sweep=sweep, **given)
    click.echo(said, nl=False)


@main.command()
@click.argument("recipes", nargs=-1, required=True, metavar="RECIPE...")
@with_overrides
def validate(recipes: tuple[str, ...], overrides: tuple[str, ...]) -> None:
    """Check recipes without reading any data.

    Prints everything that is wrong at once, with file and line.
    """
    from curate.errors import RecipeError

    wrong: list[str] = []
    for recipe in recipes:
        try:
            loaded = load(recipe, overrides)
        except RecipeError as error:
            wrong += error.messages
        else:
            said = f"{recipe}: ok ({loaded.name}, {counted(len(loaded.steps), 'step')})"
            click.echo(printable(said))
    if wrong:
        raise RecipeError(wrong)


@main.command()
@click.argument("name", required=False)
@click.option("--markdown", is_flag=True, help="As the sections of the operator reference.")
def ops(name: str | None, markdown: bool) -> None:
    """List the operators, or all options of NAME."""
    from curate.recipe.reference import KINDS, find_operator, operator_markdown, operators
    from pipelines.steps import STEPS

    told = [find_operator(name, STEPS)] if name else operators(STEPS)
    if markdown:
        click.echo("\n".join(operator_markdown(one) for one in told), nl=False)
    elif name:
        _print_operator(told[0])
    else:
        page = click.HelpFormatter()
        for kind, says in KINDS.items():
            rows = [(one.name, one.summary) for one in told if one.kind == kind]
            if rows:
                with page.section(f"{kind} ({says})"):
                    page.write_dl(rows, col_max=26)
        click.echo(page.getvalue().lstrip("\n"), nl=False)


@main.command()
@click.argument("of", type=click.Choice(["recipe", "manifest"]), default="recipe", metavar="[OF]")
def schema(of: str) -> None:
    """Print the JSON Schema of recipes, or of manifests.

    OF: recipe (if left out) or manifest, which is `_curate/manifest.json` of an output.

    Editors complete and check recipes by it: put
    `# yaml-language-server: $schema=recipe.schema.json` on the first line.
    """
    if of == "manifest":
        from curate.manifest import manifest_schema

        click.echo(manifest_schema())
        return
    from curate.recipe.reference import recipe_schema

    click.echo(recipe_schema())


@main.command()
@click.argument("out")
@click.argument("row_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def explain(out: str, row_id: str, as_json: bool) -> None:
    """Tell why the row ID is in the output OUT, or is not."""
    import json

    from curate.inspect.explain import explain_row

    found = explain_row(out, row_id)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
    else:
        click.echo(printable("\n".join(found.lines())))


@main.command()
@click.argument("out")
@click.option("--step", type=click.IntRange(min=1), help="Only the clusters of step number STEP.")
@click.option("--to", metavar="PATH", help="Write all members: .parquet or .csv.")
def clusters(out: str, step: int | None, to: str | None) -> None:
    """Show the clusters of duplicates in the output OUT.

    Who was dropped for whom; --to writes every member with its similarity to the kept row.
    """
    from rich.console import Console

    from curate.inspect.clusters import clusters_of, summary, write_clusters
    from curate.inspect.clusters_text import print_clusters
    from curate.inspect.explain import open_ledger

    members = clusters_of((batch.to_table() for batch in open_ledger(out).get_fragments()), step)
    print_clusters(summary(members), Console())
    if to is not None:
        write_clusters(members, to)
        click.echo(printable(f"{len(members):,} members  {to}"))


main.add_command(prove_command)


@main.command()
@click.argument("out", metavar="OUT")
@click.option("--dry-run", is_flag=True, help="Only list them.")
def clean(out: str, dry_run: bool) -> None:
    """Remove what runs that never ended left beside the output OUT.

    Such a run can then not be taken up any more. The output itself stays.
    """
    from curate.run.leftovers import leftovers, remove_leftovers
    from curate.run.run import absolute

    found = leftovers(absolute(out))
    for one in found:
        click.echo(printable(f"{'would remove' if dry_run else 'remove'}  {one}"))
    if not found:
        click.echo(printable(f"no work folders beside {out}"))
    if not dry_run:
        remove_leftovers(absolute(out), found)


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def samples(folder: Path) -> None:
    """Write small dirty corpora to try, under DIR."""
    from curate.samples.samples import write_samples

    for path in write_samples(folder) or (folder,):
        click.echo(printable(str(path)))


@contextmanager
def progress() -> Iterator[tuple[Callable[[str], None], Callable[[str], None]]]:
    """Give a function that shows where the work stands, and one whose lines stay.

    The first is one line that changes, on a terminal; elsewhere, in a log file, a line every few
    seconds at most.
    """
    if not sys.stderr.isatty():
        last = -QUIET_SECONDS

        def log(said: str) -> None:
            nonlocal last
            if time.monotonic() - last >= QUIET_SECONDS:
                click.echo(printable(said), err=True)
                last = time.monotonic()

        yield log, lambda said: click.echo(printable(said), err=True)
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status("starting") as status:
        yield (
            lambda said: status.update(Text(printable(said))),
            lambda said: status.console.print(Text(printable(said))),
        )


def _print_operator(told: Operator) -> None:
    from curate.recipe.reference import facts_of

    page = click.HelpFormatter()
    page.write_text(f"{told.name} ({told.kind})\n\n{told.doc}")
    for word, names in facts_of(told):
        page.write_paragraph()
        page.write_text(f"{word}: {', '.join(names)}")
    if told.options:
        with page.section("Options"):
            for option in told.options:
                page.write_text(option.head)
                page.indent()
                page.write_text(option.doc)
                page.dedent()
    click.echo(page.getvalue(), nl=False)
