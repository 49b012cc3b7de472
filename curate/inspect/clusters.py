"""Clusters of duplicates: who was dropped for whom, and how similar the two are.

The ledger says it row by row; here it is by cluster. A cluster is the kept row, by whose id it
goes, and all rows that one step dropped for it as duplicates; rows that all went because their
labels are in conflict (`label_conflict`) have no kept row and make no cluster. `earlier` tells that
the kept row is one of an earlier run, whose ids may be those of other rows here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from pipelines import files
from pipelines.errors import UserError
from pipelines.ledger.entries import DROPPED
from pipelines.steps.dedup.clusters.keepers import EARLIER

SCHEMA = pa.schema(
    [
        ("step", pa.int16()),
        ("op", pa.string()),
        ("cluster", pa.string()),
        ("id", pa.string()),
        ("keeper", pa.bool_()),
        ("similarity", pa.float64()),
        ("earlier", pa.bool_()),
        ("detail", pa.string()),
    ]
)
WRITERS = {
    ".parquet": lambda table, sink: pq.write_table(table, sink, compression="zstd"),
    ".csv": lambda table, sink: pyarrow.csv.write_csv(_inert(table), sink),
}


def _inert(table: pa.Table) -> pa.Table:
    """Put an apostrophe before texts that a spreadsheet would take for a formula."""
    for at, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            active = pc.match_substring_regex(table[at], r"^[=+\-@\t\r\n＝＋－＠]")
            marked = pc.binary_join_element_wise("'", table[at], "")
            table = table.set_column(at, field, pc.if_else(active, marked, table[at]))
    return table


def clusters_of(ledger: Iterable[pa.Table], step: int | None = None) -> pa.Table:
    """Return the members of all clusters: one line per row, the keeper of each cluster first.

    Args:
        ledger: the ledger, in parts.
        step: number of the step whose clusters are wanted; all steps that name other rows if None.

    Returns:
        A table of SCHEMA; `similarity` is that to the keeper, 1 for the keeper itself.
    """
    parts = [SCHEMA.empty_table()]
    for part in ledger:
        wanted = pc.and_(pc.equal(part["fate"], DROPPED), pc.is_valid(part["other"]))
        wanted = pc.and_(wanted, pc.match_substring(part["reason"], "duplicate"))
        if step is not None:
            wanted = pc.and_(wanted, pc.equal(part["step"], step))
        gone = part.filter(wanted)
        columns = [gone["step"], gone["op"], gone["other"], gone["id"]]
        earlier = pc.fill_null(pc.match_substring(gone["detail"], EARLIER), False)
        columns += [pa.repeat(False, len(gone)), gone["value"], earlier, gone["detail"]]
        parts.append(pa.table(columns, schema=SCHEMA))
    members = pa.concat_tables(parts)
    heads = members.group_by(["step", "op", "cluster", "earlier"]).aggregate([])
    n = len(heads)
    columns = [heads["step"], heads["op"], heads["cluster"], heads["cluster"]]
    columns += [pa.repeat(True, n), pa.repeat(1.0, n), heads["earlier"], pa.nulls(n, pa.string())]
    everyone = pa.concat_tables([pa.table(columns, schema=SCHEMA), members])
    order = ("step", "cluster", "earlier", "keeper", "similarity", "id")
    down = ("keeper", "similarity")
    return everyone.sort_by([(n, "descending" if n in down else "ascending") for n in order])


def write_clusters(members: pa.Table, path: str | Path) -> None:
    """Write clusters as Parquet or CSV, by the ending of the path.

    Raises:
        UserError: another ending.
    """
    write = WRITERS.get(Path(path).suffix)
    if write is None:
        raise UserError(f"{path}: clusters are written as {' or '.join(WRITERS)}")
    with files.open_output(str(path)) as sink:
        write(members, sink)


@dataclass(frozen=True)
class StepClusters:
    """The clusters of duplicates that one step found."""

    step: int
    op: str
    clusters: int
    rows: int
    """Rows in all clusters, those that are kept among them."""
    lowest: float
    """Lowest similarity of a row to the row that is kept for it."""
    largest: tuple[tuple[str, int, float], ...]
    """Of the largest clusters: id of the kept row, rows, lowest similarity."""


def summary(members: pa.Table, largest: int = 5) -> list[StepClusters]:
    """Return what each step found, with its `largest` clusters."""
    found = []
    for step in sorted(members["step"].unique().to_pylist()):
        mine = members.filter(pc.equal(members["step"], step))
        sizes = mine.group_by(["cluster", "earlier"]).aggregate(
            [("id", "count"), ("similarity", "min")]
        )
        order = [("id_count", "descending"), ("cluster", "ascending")]
        top = sizes.sort_by(order).slice(0, largest).to_pylist()
        found.append(
            StepClusters(
                step=step,
                op=mine["op"][0].as_py(),
                clusters=len(sizes),
                rows=len(mine),
                lowest=pc.min(mine["similarity"]).as_py(),
                largest=tuple((c["cluster"], c["id_count"], c["similarity_min"]) for c in top),
            )
        )
    return found
