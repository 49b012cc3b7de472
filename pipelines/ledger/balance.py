"""The balance of a run: rows in = kept + dropped + quarantined, for each step and for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipelines.ledger.entries import Tally
from pipelines.steps.corpus import Corpus
from pipelines.steps.step import Step

FATES = ("kept", "dropped", "quarantined", "derived")


class Unbalanced(RuntimeError):
    """Rows were lost or counted twice: a fault of the program, so the run must not be used."""


def balance(
    tallies: Sequence[dict[str, Any]], steps: Sequence[Step], written: Sequence[dict[str, Any]]
) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Return the rows of the run and of each step, after checking that they add up.

    The figures come from different places: what enters and leaves a step is counted at its door,
    what it dropped or quarantined from the ledger records it wrote, and what the run kept from the
    rows in the output files.

    Args:
        tallies: what each step did, summed over all shards.
        steps: the steps of the recipe, in order.
        written: each output file with its rows.

    Raises:
        Unbalanced: somewhere they do not add up.
    """
    found = {tally["step"]: tally for tally in tallies}
    names = ["read", *(step.op for step in steps)]
    counts = [found.get(n, vars(Tally(n, op))) for n, op in enumerate(names)]
    expected = counts[0]["entered"]
    for tally in counts:
        where = f"step {tally['step']} ({tally['op']})"
        if tally["entered"] != expected:
            raise Unbalanced(
                f"{where}: {expected} rows left the step before, {tally['entered']} came"
            )
        left = tally["kept"] + tally["dropped"] + tally["quarantined"]
        if left != tally["entered"]:
            raise Unbalanced(f"{where}: {tally['entered']} rows came, {left} are accounted for")
        expected = tally["kept"] + tally["derived"]

    records = [w for w in written if w["file"].startswith("_curate/ledger/")]
    shards = sum(w["rows"] for w in written if not w["file"].startswith("_curate/"))
    if shards != expected:
        raise Unbalanced(f"{expected} rows left the last step, {shards} are in the output files")
    fates = {n: sum(w["fates"][n] for w in records) for n in (*FATES, "lost")}
    rows = {"in": counts[0]["entered"], **{name: fates[name] for name in FATES}}
    if rows["in"] != rows["kept"] + rows["dropped"] + rows["quarantined"]:
        raise Unbalanced(f"{rows['in']} rows were read, the ledger has the fates {fates}")
    if shards != rows["kept"] + rows["derived"]:
        raise Unbalanced(f"{shards} rows are in the output files, the ledger has the fates {fates}")
    out = sum(tally["dropped"] + tally["quarantined"] for tally in counts)
    if out != rows["dropped"] + rows["quarantined"] + fates["lost"]:
        raise Unbalanced(f"the steps took out {out} rows, the ledger has the fates {fates}")
    derived = sum(tally["derived"] for tally in counts)
    if derived != rows["derived"] + fates["lost"]:
        raise Unbalanced(f"the steps derived {derived} rows, the ledger has the fates {fates}")
    return rows, [_public(tally, step) for tally, step in zip(counts, [None, *steps], strict=True)]


def _public(tally: dict[str, Any], step: Step | None) -> dict[str, Any]:
    names = ("kept", "dropped", "quarantined", "derived", "edited")
    public = {
        "step": tally["step"],
        "op": tally["op"],
        "in": tally["entered"],
        **{name: tally[name] for name in names},
        "reasons": dict(sorted(tally["reasons"].items())),
        "seconds": round(tally["seconds"], 3),
        "shuffled": tally["shuffled"],
    }
    if isinstance(step, Corpus) and tally["measured"]:
        public["measured"] = dict(sorted(tally["measured"].items()))
        public["said"] = step.in_words(public["measured"])
    return public
