"""Small chunks put together: ten thousand files of three rows are not ten thousand batches."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from pipelines.readers.reader import Chunk, ChunkSize
from pipelines.rows import KEY
from pipelines.rows.merging import merge_schemas
from pipelines.rows.plain import plain
from pipelines.rows.schema import conform


def gather(chunks: Iterable[Chunk], size: ChunkSize) -> Iterator[Chunk]:
    """Yield the same records in chunks as near to `size` as whole chunks allow.

    Files whose Hugging Face features differ, in the names of their classes say, share no chunk.
    """
    held: list[Chunk] = []
    rows = nbytes = 0
    for chunk in chunks:
        more = chunk.table.nbytes
        full = rows + len(chunk) > size.rows or nbytes + more > size.bytes
        if held and (full or _features(chunk) != _features(held[0])):
            yield _joined(held)
            held, rows, nbytes = [], 0, 0
        held.append(chunk)
        rows, nbytes = rows + len(chunk), nbytes + more
    if held:
        yield _joined(held)


def _features(chunk: Chunk) -> bytes | None:
    metadata: dict[bytes, bytes] = chunk.table.schema.metadata or {}
    return metadata.get(b"huggingface")


def _joined(chunks: list[Chunk]) -> Chunk:
    bad = [record for chunk in chunks for record in chunk.bad]
    if len(chunks) == 1:
        return chunks[0]
    tables = [plain(chunk.table) for chunk in chunks]
    schema = merge_schemas(table.schema for table in tables)
    joined = pa.concat_tables([conform(table, schema) for table in tables])
    return Chunk(joined.combine_chunks(), bad)


def first(chunks: Iterable[Chunk], limit: int) -> Iterator[Chunk]:
    """Yield the first `limit` records, good and bad, in order of their keys."""
    left = limit
    for chunk in chunks:
        if len(chunk) > left:
            chunk = _head(chunk, left)
        yield chunk
        left -= len(chunk)
        if left <= 0:
            return


def _head(chunk: Chunk, limit: int) -> Chunk:
    good = chunk.table[KEY].to_pylist()
    keys = sorted([*good, *(record.key for record in chunk.bad)])
    last = keys[limit - 1] if limit else -1
    rows = sum(key <= last for key in good)
    return Chunk(chunk.table.slice(0, rows), [r for r in chunk.bad if r.key <= last])
