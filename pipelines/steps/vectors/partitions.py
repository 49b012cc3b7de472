"""Rows with vectors, sent to partitions of cells: small columns by mail, vectors through files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines import files
from pipelines.exchange.mail import Mail, Message, message, scatter
from pipelines.maths.arrays import Int64, Vectors
from pipelines.maths.vectors.unit_vectors import assign_cells, fit_centroids
from pipelines.rows import whole

PORTION = 32 << 20
"""Bytes of vectors that a shard writes to one file."""
_PORTION_BITS = 20
_FEWEST = 64
_ROWS = 50_000
"""Rows per partition, where there are more partitions than the fewest."""
_SLICE, _AT, _CELLS = "slice", "at", "cells"


@dataclass(frozen=True)
class Placed:
    """Rows with their vectors and cells."""

    nodes: pa.Table
    vectors: Vectors
    """Shape (rows, dimensions)."""
    cells: Int64
    """Cells of each row, shape (rows, probes); -1 is none."""


def partitions_of_cells(centroids: Vectors, total: int, seed: int) -> Int64:
    """Return the partition of each cell, such that neighbouring cells share one.

    So most cells of a row are in one partition, and the row is sent there once for all of them.
    """
    wanted = min(len(centroids), max(_FEWEST, total // _ROWS))
    return assign_cells(centroids, fit_centroids(centroids, wanted, seed), 1)[:, 0]


def portions(placed: Iterable[Placed], size: int = PORTION) -> Iterator[Placed]:
    """Gather batches until their vectors have `size` bytes."""
    waiting: list[Placed] = []
    for batch in placed:
        waiting.append(batch)
        if sum(part.vectors.nbytes for part in waiting) >= size:
            yield _gathered(waiting)
            waiting = []
    if waiting:
        yield _gathered(waiting)


def portion_number(shard: int, portion: int) -> int:
    """Return the number of one portion of a shard: unique in the step, ordered within the shard."""
    return shard << _PORTION_BITS | portion


def post_members(placed: Placed, partition: Int64, path: str, number: int) -> Iterator[Message]:
    """Write vectors to one file and post their rows to the partitions of their cells.

    A row whose cells lie in several partitions is sent to each of them with its vector. Mail of
    kind `member` has one line per row; mail of kind `slice` says where the vectors lie.

    Args:
        placed: the rows.
        partition: number of the partition of each cell.
        path: file to write.
        number: that of the file, see `portion_number`.
    """
    row, to, cells = partition_lines(placed.cells, partition)
    order = np.argsort(to, kind="stable")
    row, to, cells = row[order], to[order], cells[order]
    files.write_bytes_atomically(path, placed.vectors[row].astype("<f4", copy=False).tobytes())
    members = placed.nodes.take(pa.array(row))
    flat = pa.array(cells.astype(np.int32).ravel())
    members = members.append_column(_SLICE, pa.repeat(np.int64(number), len(row)))
    members = members.append_column(_AT, pa.array(np.arange(len(row))))
    members = members.append_column(_CELLS, pa.FixedSizeListArray.from_arrays(flat, cells.shape[1]))
    for address, part in scatter(members, to, "cells:{}".format):
        yield message(address, "member", part)
        where = {_SLICE: [number], "path": [path], "start": [part[_AT][0].as_py()]}
        where |= {"rows": [len(part)], "dimensions": [placed.vectors.shape[1]]}
        yield message(address, "slice", pa.table(where))


def open_members(mail: Mail) -> Placed:
    """Return the rows that met in one partition, with their vectors, in the order of portions."""
    members = mail["member"].sort_by([(_SLICE, "ascending"), (_AT, "ascending")])
    slices = mail["slice"].sort_by(_SLICE).to_pylist()
    vectors = np.empty((len(members), slices[0]["dimensions"]), dtype=np.float32)
    row = 0
    for where in slices:
        width = 4 * where["dimensions"]
        first, rows = where["start"] * width, where["rows"]
        raw = files.read_bytes(where["path"], first, first + rows * width)
        vectors[row : row + rows] = np.frombuffer(raw, "<f4").reshape(rows, -1)
        row += rows
    cells = whole(members[_CELLS])
    flat = cells.flatten().to_numpy().astype(np.int64)
    return Placed(
        members.drop_columns([_SLICE, _AT, _CELLS]),
        vectors,
        flat.reshape(len(members), cells.type.list_size),
    )


def partition_lines(cells: Int64, partition: Int64) -> tuple[Int64, Int64, Int64]:
    """Return one line for each partition that has cells of a row.

    Args:
        cells: shape (rows, probes); -1 is none.
        partition: number of the partition of each cell.

    Returns:
        the row of each line; its partition; the cells of the row there, shape (lines, probes), -1
        for none.
    """
    of = np.where(cells >= 0, partition[cells], -1)
    new = of >= 0
    for i in range(1, cells.shape[1]):
        new[:, i] &= (of[:, :i] != of[:, i : i + 1]).all(axis=1)
    row, probe = np.nonzero(new)
    to = of[row, probe]
    return row, to, np.where(of[row] == to[:, None], cells[row], -1)


def _gathered(parts: list[Placed]) -> Placed:
    """Return batches as one."""
    return Placed(
        pa.concat_tables([part.nodes for part in parts]),
        np.concatenate([part.vectors for part in parts]),
        np.concatenate([part.cells for part in parts]),
    )
