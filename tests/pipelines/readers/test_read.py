import pickle

import pytest
from pydantic import TypeAdapter, ValidationError

from pipelines.readers import Csv, Images, Jsonl, Parquet, Read, Text
from pipelines.rows import Columns

read = TypeAdapter(Read)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"format": "jsonl", "path": "a"}, Jsonl),
        ({"format": "csv", "path": ["a", "b"], "delimiter": ";"}, Csv),
        ({"format": "parquet", "path": "a", "text": "body"}, Parquet),
        ({"format": "text", "path": "a", "rows": "line"}, Text),
        ({"format": "images", "path": "a"}, Images),
    ],
)
def test_read_format_chooses_the_model(given, kind):
    value = read.validate_python(given)
    assert type(value) is kind
    assert read.validate_json(read.dump_json(value)) == value
    assert pickle.loads(pickle.dumps(value)) == value


@pytest.mark.parametrize(
    "given",
    [
        {"format": "jsonl", "path": "a", "txt": "b"},
        {"format": "json", "path": "a"},
        {"format": "jsonl", "path": ""},
        {"format": "jsonl"},
        {"path": "a"},
    ],
)
def test_read_refuses_what_it_does_not_know(given):
    with pytest.raises(ValidationError):
        read.validate_python(given)


def test_read_every_option_is_documented():
    schema = read.json_schema()
    for model in schema["$defs"].values():
        assert model["description"]
        for name, option in model["properties"].items():
            assert option.get("description"), (model["title"], name)


def test_read_roles_go_to_columns_that_are_present():
    given = Jsonl(path="a", label="topic")
    assert given.present(["text", "topic", "x"]) == Columns(text="text", label="topic")
    assert given.present(["topic", "id", "_id"]) == Columns(label="topic", id="_id")
