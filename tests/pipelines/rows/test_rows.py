from pipelines.rows import Columns, merged_columns


def test_rows_roles_are_those_that_some_batch_has() -> None:
    found = merged_columns([Columns(text="text"), Columns(label="topic"), Columns()])
    assert found == Columns(text="text", label="topic")
