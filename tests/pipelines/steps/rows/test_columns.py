import pyarrow as pa
import pytest
from pydantic import ValidationError

from pipelines.rows import ID, KEY, Columns, MissingColumn, Rows
from pipelines.rows.chance import Chance
from pipelines.steps.rows.columns import DropColumns

ROWS = Rows(pa.table({KEY: [0], ID: ["a"], "text": ["x"], "_embedding": [[1.0]]}), Columns("text"))


def test_drop_columns_leaves_the_others():
    kept = DropColumns(columns=("_embedding",)).apply(ROWS, Chance(0, 1))
    assert kept.table.column_names == [KEY, ID, "text"]


def test_drop_columns_says_what_is_there_when_one_is_missing():
    with pytest.raises(MissingColumn, match="no column 'vector'; the rows have: text, _embedding"):
        DropColumns(columns=("vector",)).apply(ROWS, Chance(0, 1))


@pytest.mark.parametrize("name", [KEY, ID])
def test_drop_columns_refuses_what_rows_are_accounted_by(name):
    with pytest.raises(ValidationError, match="cannot be left out"):
        DropColumns(columns=(name,))
