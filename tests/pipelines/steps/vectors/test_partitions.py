"""Rows reach the partitions of their cells with their vectors."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from unit_vectors import clumps

from pipelines.exchange.mail import open_mail
from pipelines.steps.vectors.partitions import (
    Placed,
    open_members,
    partition_lines,
    partitions_of_cells,
    portions,
    post_members,
)

CELLS = st.lists(st.lists(st.integers(-1, 5), min_size=3, max_size=3), max_size=9)


def placed(cells, first=0) -> Placed:
    cells = np.array(cells, np.int64).reshape(-1, 3)
    keys = np.arange(first, first + len(cells))
    return Placed(pa.table({"_key": keys}), np.tile(keys, (4, 1)).T.astype(np.float32), cells)


@given(CELLS)
def test_lines_are_one_for_each_partition_of_a_row(cells):
    cells, partition = np.array(cells, np.int64).reshape(-1, 3), np.array([0, 0, 1, 1, 2, 2])
    row, to, there = partition_lines(cells, partition)
    found = sorted(
        (r, p, sorted({c for c in of if c >= 0}))
        for r, p, of in zip(row.tolist(), to.tolist(), there.tolist(), strict=True)
    )
    expected = sorted(
        (r, p, sorted({c for c in of if c >= 0 and c // 2 == p}))
        for r, of in enumerate(cells.tolist())
        for p in {c // 2 for c in of if c >= 0}
    )
    assert found == expected


@given(CELLS, st.randoms())
def test_members_find_their_vectors_and_cells_in_any_order_of_arrival(tmp_path_factory, cells, lot):
    folder, partition = tmp_path_factory.getbasetemp(), np.array([0, 0, 1, 1, 2, 2])
    half = len(cells) // 2
    parts = [placed(cells[:half]), placed(cells[half:], first=half)]
    posted = [
        message
        for i, part in enumerate(parts)
        for message in post_members(part, partition, f"{folder}/{i}.f32", i)
    ]
    lot.shuffle(posted)
    seen = []
    for address in {to for to, _ in posted}:
        met = open_members(open_mail([payload for to, payload in posted if to == address]))
        keys = met.nodes["_key"].to_numpy()
        assert (met.vectors == keys[:, None]).all()
        assert met.nodes.column_names == ["_key"]
        seen += [
            (k, sorted({c for c in of if c >= 0})) for k, of in zip(keys, met.cells, strict=True)
        ]
    assert sorted(seen) == sorted(
        (k, sorted({c for c in of if c >= 0 and c // 2 == p}))
        for k, of in enumerate(cells)
        for p in {c // 2 for c in of if c >= 0}
    )


def test_portions_gather_batches_up_to_a_size():
    batches = [placed([[0, 1, 2]] * 3, first=3 * i) for i in range(5)]
    found = list(portions(iter(batches), size=2 * 3 * 4 * 4))
    assert [len(part.nodes) for part in found] == [6, 6, 3]
    assert np.concatenate([part.nodes["_key"].to_numpy() for part in found]).tolist() == [
        *range(15)
    ]
    assert found[1].vectors[:, 0].tolist() == [6, 7, 8, 9, 10, 11]
    assert list(portions(iter([]))) == []


def test_plan_partitions_puts_neighbouring_cells_together():
    centroids = clumps(0, groups=64, size=3, spread=0.01)
    partition = partitions_of_cells(centroids, total=100_000, seed=0)
    assert partition.max() < 64
    together = partition.reshape(64, 3)
    assert (together == together[:, :1]).all(axis=1).mean() > 0.7
    assert partitions_of_cells(centroids[:1], total=9, seed=0).tolist() == [0]
