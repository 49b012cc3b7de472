"""The balance of a run: rows in = kept + dropped + quarantined, for each step and for all."""

from collections.abc import Mapping, Sequence

from pipelines.ledger.counts import RowCounts, StepCounts
from pipelines.ledger.entries import FATES, Tally


class Unbalanced(RuntimeError):
    """Rows were lost or counted twice: a fault of the program, so the run must not be used."""


def balance(
    tallies: Sequence[Tally], ops: Sequence[str], shard_rows: int, fates: Mapping[str, int]
) -> tuple[RowCounts, list[StepCounts]]:
    """Return the rows of the run and of each step, after checking that they add up.

    The figures come from different places: what enters and leaves a step is counted at its door,
    what it dropped or quarantined from the ledger records it wrote, and what the run kept from the
    rows in the output files.

    Args:
        tallies: what each step did, summed over all shards.
        ops: of the steps of the recipe, in order.
        shard_rows: rows in the shards of the output.
        fates: records of the ledger by fate.

    Raises:
        Unbalanced: somewhere they do not add up.
    """
    found = {tally.step: tally for tally in tallies}
    counts = [found.get(n) or Tally(n, op) for n, op in enumerate(["read", *ops])]
    expected = counts[0].entered
    for tally in counts:
        where = f"step {tally.step} ({tally.op})"
        if tally.entered != expected:
            raise Unbalanced(f"{where}: {expected} rows left the step before, {tally.entered} came")
        left = tally.kept + tally.dropped + tally.quarantined
        if left != tally.entered:
            raise Unbalanced(f"{where}: {tally.entered} rows came, {left} are accounted for")
        expected = tally.kept + tally.derived

    if shard_rows != expected:
        raise Unbalanced(
            f"{expected} rows left the last step, {shard_rows} are in the output files"
        )
    rows = RowCounts(entered=counts[0].entered, **{name: fates[name] for name in FATES})
    if rows.entered != rows.kept + rows.dropped + rows.quarantined:
        raise Unbalanced(f"{rows.entered} rows were read, the ledger has the fates {dict(fates)}")
    if shard_rows != rows.kept + rows.derived:
        raise Unbalanced(
            f"{shard_rows} rows are in the output files, the ledger has the fates {dict(fates)}"
        )
    out = sum(tally.dropped + tally.quarantined for tally in counts)
    if out != rows.dropped + rows.quarantined + fates["lost"]:
        raise Unbalanced(f"the steps took out {out} rows, the ledger has the fates {dict(fates)}")
    derived = sum(tally.derived for tally in counts)
    if derived != rows.derived + fates["lost"]:
        raise Unbalanced(
            f"the steps derived {derived} rows, the ledger has the fates {dict(fates)}"
        )
    return rows, [_counts_of(tally) for tally in counts]


def _counts_of(tally: Tally) -> StepCounts:
    ordered = {
        "reasons": dict(sorted(tally.reasons.items())),
        "measured": dict(sorted(tally.measured.items())) or None,
    }
    counts = {name: value for name, value in vars(tally).items() if name != "lost"}
    return StepCounts(**{**counts, **ordered, "seconds": round(tally.seconds, 3)})
