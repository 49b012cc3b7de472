from collections.abc import Callable

import pyarrow as pa
import pytest

from pipelines.readers import Source
from pipelines.readers.read_plan import make_plan, read_task
from pipelines.readers.reader import Bad, ChunkSize
from pipelines.rows.merging import merge_schemas
from pipelines.rows.schema import conform

ReadAll = Callable[..., tuple[pa.Table, list[Bad]]]


def _read_all(
    read: Source,
    *,
    target_bytes: int = 1 << 30,
    rows: int = 8192,
    chunk_bytes: int = 4 << 20,
    required: tuple[str, ...] = (),
    limit: int | None = None,
) -> tuple[pa.Table, list[Bad]]:
    plan = make_plan(read, target_bytes=target_bytes, limit=limit)
    size = ChunkSize(rows, chunk_bytes)
    chunks = [
        chunk
        for task in plan.tasks
        for chunk in read_task(read, task, required=required, size=size)
    ]
    tables = [chunk.table for chunk in chunks] or [pa.table({})]
    schema = merge_schemas(table.schema for table in tables)
    table = pa.concat_tables([conform(table, schema) for table in tables]).combine_chunks()
    return table, [bad for chunk in chunks for bad in chunk.bad]


@pytest.fixture(scope="session")
def read_all() -> ReadAll:
    return _read_all
