"""What a test of a step needs: rows made of plain lists, and what a step does to them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.rows import ID, KEY, Columns, Rows
from pipelines.rows.chance import Chance
from pipelines.rows.keys import pack
from pipelines.steps.step import Filter

CHANCE = Chance(seed=0, step=1)


def rows_of(
    text: Sequence[str | None] | None = None,
    *,
    image: Sequence[bytes | None] | None = None,
    label: Sequence[Any] | None = None,
    id: Sequence[str] | None = None,
    **columns: Sequence[Any],
) -> Rows:
    """Return rows as a reader gives them; ids are `row0`, `row1`, … unless given."""
    roles = {"text": text, "image": image, "label": label}
    given = {name: values for name, values in {**roles, **columns}.items() if values is not None}
    count = len(next(iter(given.values())))
    types = {"text": pa.string(), "image": pa.binary()}
    table = pa.table({name: pa.array(v, types.get(name)) for name, v in given.items()})
    ids = [f"row{i}" for i in range(count)] if id is None else list(id)
    table = table.append_column(KEY, pa.array(pack(0, np.arange(count))))
    table = table.append_column(ID, pa.array(ids, pa.string()))
    return Rows(table, Columns(**{role: role for role in roles if role in given}))


def reasons(step: Filter, rows: Rows) -> list[str | None]:
    """Return why a filter drops each row, None for those it keeps."""
    verdicts = step.judge(rows, CHANCE)
    return [verdicts.reasons[code - 1] if code else None for code in verdicts.code.tolist()]
