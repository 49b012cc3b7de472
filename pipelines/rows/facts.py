"""What the values of a chunk say about the type their column must have in the corpus.

Two chunks whose types differ are brought into one type by `pipelines.rows.merging`, and types alone
do not tell whether that keeps every value: whether an integer survives as a double, a moment as
nanoseconds, bytes as text. Readers note such facts once, as metadata of the schema.
"""

import json
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

FACTS = b"curate.facts"
"""Key of the metadata of a schema."""

Facts = dict[str, frozenset[str]]
"""What is known of the values at a path: `column`, `column.field`, `column[]`; "" is all."""

NEGATIVE = "negative"
INEXACT = "beyond 2^53"
"""Some integers may have no double that equals them."""
UNSIGNED = "beyond 2^63"
NO_TEXT = "no UTF-8"
UNTYPED = "untyped"
"""Types were guessed from the values of each chunk: the format has none."""
MIXED = "mixed"
"""A chunk held values without a common type, which became text."""
OTHER_SPLIT = "other split"
"""A column that names splits has values that name none."""
TYPE = "type "
"""Begins the name of a type that a column has somewhere."""

_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY = 86_400


def beyond(unit: str) -> str:
    """Return the fact that some moment or duration does not fit 64 bits in a finer unit."""
    return f"beyond {unit}"


def facts_in(schema: pa.Schema) -> Facts:
    """Return the facts that a schema carries."""
    raw = (schema.metadata or {}).get(FACTS)
    return {} if raw is None else {k: frozenset(v) for k, v in json.loads(raw).items()}


def united(facts: Iterable[Facts]) -> Facts:
    """Return all that some facts say."""
    all_facts: Facts = {}
    for some in facts:
        for path, found in some.items():
            all_facts[path] = all_facts.get(path, frozenset()) | found
    return all_facts


def metadata_with(metadata: dict[bytes, bytes] | None, facts: Facts) -> dict[bytes, bytes] | None:
    """Return the metadata of a schema with these facts in it and no others."""
    rest = {key: value for key, value in (metadata or {}).items() if key != FACTS}
    if facts:
        told = {path: sorted(found) for path, found in sorted(facts.items())}
        rest[FACTS] = json.dumps(told).encode()
    return rest or None


def without_facts(table: pa.Table) -> pa.Table:
    """Return a table whose schema carries no facts."""
    metadata = table.schema.metadata
    if not metadata or FACTS not in metadata:
        return table
    return table.replace_schema_metadata(metadata_with(metadata, {}))


def with_facts(table: pa.Table, also: Facts | None = None) -> pa.Table:
    """Return a table whose schema carries the facts of its values, and those of `also`."""
    found: Facts = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if _tells(column.type):
            for chunk in column.chunks:
                found = united([found, dict(_facts(name, chunk))])
    found = united([facts_in(table.schema), found, also or {}])
    if not found or not table.num_columns:  # without columns, the number of rows would be lost
        return table
    return table.replace_schema_metadata(metadata_with(table.schema.metadata, found))


def _tells(kind: pa.DataType) -> bool:
    """Tell whether columns of a type may have facts; most are texts and have none."""
    return not (pt.is_string(kind) or pt.is_large_string(kind) or pt.is_floating(kind))


def _facts(path: str, values: pa.Array) -> Iterator[tuple[str, frozenset[str]]]:
    kind = values.type
    if isinstance(kind, pa.BaseExtensionType):
        yield from _facts(path, values.storage)
    elif pt.is_dictionary(kind):
        yield from _facts(path, values.dictionary)
    elif pt.is_run_end_encoded(kind):
        yield from _facts(path, values.values)
    elif pt.is_struct(kind):
        for i, field in enumerate(kind):
            yield from _facts(f"{path}.{field.name}", pc.struct_field(values, [i]))
    elif pt.is_map(kind):
        yield from _facts(f"{path}[].key", values.keys)
        yield from _facts(f"{path}[].value", values.items)
    elif isinstance(values, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
        yield from _facts(f"{path}[]", values.flatten())
    elif found := frozenset(_of_leaves(values)):
        yield path, found


def _of_leaves(values: pa.Array) -> Iterator[str]:
    kind = values.type
    if pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_fixed_size_binary(kind):
        try:
            values.cast(pa.binary()).cast(pa.string())
        except pa.ArrowInvalid:
            yield NO_TEXT
        return
    if pt.is_integer(kind):
        if pt.is_unsigned_integer(kind) and kind.bit_width < 64:
            return
        low, high = pc.min_max(values).as_py().values()
        if low is None:
            return
        if low < 0:
            yield NEGATIVE
        if low < -(1 << 53) or high > 1 << 53:
            yield INEXACT
        if high >= 1 << 63:
            yield UNSIGNED
    elif pt.is_timestamp(kind) or pt.is_duration(kind) or pt.is_date(kind):
        yield from _of_moments(values)


def _of_moments(values: pa.Array) -> Iterator[str]:
    kind = values.type
    per_second = {"date32[day]": 1, "date64[ms]": 1000}.get(str(kind)) or _UNITS[kind.unit]
    width, each = (pa.int32(), _DAY) if pt.is_date32(kind) else (pa.int64(), 1)
    low, high = pc.min_max(values.cast(width)).as_py().values()
    if low is None:
        return
    for unit, count in _UNITS.items():
        times = each * count // per_second
        if times > 1 and not -(1 << 63) <= low * times <= high * times < 1 << 63:
            yield beyond(unit)
