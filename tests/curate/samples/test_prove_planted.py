import pytest

from curate.samples.planted import MARKER, planted_in, write_marker
from pipelines import listings


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "reviews"
    (folder / "deep/deeper/deepest").mkdir(parents=True)
    (folder / "train-0.jsonl").write_text('{"text": "a"}\n')
    write_marker(folder, ["30 % of the labels are wrong", "copies"])
    return folder


@pytest.mark.parametrize("path", ["", "train-0.jsonl", "train*", "deep", "deep/deeper"])
def test_marker_is_found_beside_the_data_and_above(data, path):
    assert planted_in(str(data / path)) == ["30 % of the labels are wrong", "copies"]


def test_marker_nearest_to_the_data_counts(data):
    write_marker(data / "deep", ["other"])
    assert planted_in([str(data / "deep/deeper"), str(data)])[0] == "other"
    assert planted_in(str(data / "deep")) == ["other"]
    assert planted_in(str(data / "deep/deeper/deepest")) == ["other"]


def test_marker_far_above_says_nothing(data):
    assert planted_in(str(data / "deep/deeper/deepest")) == []
    assert planted_in("gs://bucket/reviews") == []


def test_marker_is_no_data(data):
    assert [file.name for file in listings.list_files(str(data), (".jsonl", ".json"))] == [
        "train-0.jsonl"
    ]


def test_marker_that_is_no_list_is_an_error(data):
    (data / MARKER).write_text('{"wrong": 1}')
    with pytest.raises(ValueError, match="no JSON list of sentences"):
        planted_in(str(data))
