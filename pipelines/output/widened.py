"""Say which columns have another type in the output than in some part of the input."""

from collections.abc import Iterator

import pyarrow as pa

from pipelines.ledger.counts import Note
from pipelines.rows import ID, KEY
from pipelines.rows.facts import MIXED, OTHER_SPLIT, TYPE, UNTYPED, facts_in
from pipelines.rows.merging import is_bytes, is_text

_SHOWN = 60
"""Characters of a type that are shown."""


def widened_columns(merged: pa.Schema) -> Iterator[Note]:
    """Yield a note for each column that was brought into one type.

    Args:
        merged: schema of all that was read, with its facts: see `pipelines.rows.merging`.
    """
    facts = facts_in(merged)
    untyped = UNTYPED in facts.get("", ())
    for field in merged:
        known = facts.get(field.name, frozenset())
        types = sorted(fact.removeprefix(TYPE) for fact in known if fact.startswith(TYPE))
        if OTHER_SPLIT in known:
            said = (
                f"column {field.name!r} also has values that name no split; those rows are in train"
            )
            yield Note.model_validate({"op": "read", "note": said, "count_sum": 1})
        if field.name in (KEY, ID) or not (types or MIXED in known):
            continue
        loose = is_text(field.type) or is_bytes(field.type)
        if MIXED in known or (untyped and loose):
            said = f"column {field.name!r} holds values of different types; all are kept as text"
        elif untyped or all("string" in kind for kind in types):
            continue  # what JSON calls a number is one type, and so are all kinds of texts
        else:
            *others, last = [kind[:_SHOWN] for kind in types]
            said = (
                f"column {field.name!r} is {', '.join(others)} in some files and {last} in others; "
                f"it is kept as {str(field.type)[:_SHOWN]}"
            )
        yield Note.model_validate({"op": "read", "note": said, "count_sum": 1})
