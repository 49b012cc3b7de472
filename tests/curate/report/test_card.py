import hashlib
import io
import json
import re

import datasets
import made_run
import pyarrow as pa
import pytest
import yaml
from made_run import step
from PIL import Image
from ruamel.yaml import YAML

from curate.report.card import dataset_card, front_matter, size_category
from pipelines.rows.hf_features import IMAGE_TYPE, features_of, state_json, with_features

SOURCE = "name: tiny\nseed: 7\n"


def make_manifest(**changes):
    given = {
        "seed": 7,
        "rows": {"in": 1000, "kept": 700, "dropped": 290, "quarantined": 10, "derived": 0},
        "steps": [
            step(0, "read", 1000, reasons={"unreadable": 10}, quarantined=10),
            step(1, "word_count", 990, reasons={"too_short": 290}),
        ],
        "splits": {"train": 650, "validation": 50},
        "declared": [],
    }
    return made_run.make_manifest(**{**given, **changes})


def header_of(card):
    return YAML(typ="safe").load(card.split("---\n")[1])


def write_split(folder, split, rows):
    """Write one split as a run does: a stream file with features, and what stands around it."""
    (folder / split).mkdir()
    schema = pa.schema([("text", pa.string()), ("image", IMAGE_TYPE), ("label", pa.int64())])
    features = features_of(schema, image="image", label=("label", ["fresh", "rotten"]))
    schema = with_features(schema, features)
    name = "data-00000-of-00001.arrow"
    with pa.ipc.new_stream(str(folder / split / name), schema) as sink:
        sink.write_table(pa.Table.from_pylist(rows, schema=schema))
    for file, value in (
        ("state.json", state_json([name], split, "0" * 16)),
        ("dataset_info.json", {"features": features}),
    ):
        (folder / split / file).write_text(json.dumps(value))


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    sink = io.BytesIO()
    Image.new("RGB", (4, 3), "red").save(sink, "png")
    folder = tmp_path_factory.mktemp("out")
    rows = [
        {"text": f"row {i}", "image": {"bytes": sink.getvalue(), "path": None}, "label": i % 2}
        for i in range(5)
    ]
    write_split(folder, "train", rows[:3])
    write_split(folder, "validation", rows[3:])
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "validation"]}))
    curate = folder / "_curate" / "ledger"
    curate.mkdir(parents=True)
    (curate / "part.parquet").write_bytes(b"not a data file")
    manifest = make_manifest(
        splits={"train": 3, "validation": 2},
        columns={"text": "text", "image": "image", "label": "label", "id": None},
    )
    (folder / "README.md").write_text(dataset_card(manifest, SOURCE))
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    return str(tmp_path / "cache")


def check(data):
    assert {name: len(rows) for name, rows in data.items()} == {"train": 3, "validation": 2}
    first = data["validation"][0]
    assert (first["text"], first["label"], first["image"].size) == ("row 3", 1, (4, 3))
    assert data["train"].features["label"].names == ["fresh", "rotten"]


def test_card_lets_load_dataset_open_the_folder(out, cache):
    check(datasets.load_dataset(str(out), cache_dir=cache))


def test_card_lets_load_dataset_stream_the_folder(out, cache):
    data = datasets.load_dataset(str(out), streaming=True, cache_dir=cache)
    assert [row["text"] for row in data["validation"]] == ["row 3", "row 4"]
    assert next(iter(data["train"]))["image"].size == (4, 3)


def test_folder_opens_from_disk_whole_and_by_split(out):
    check(datasets.load_from_disk(str(out)))
    assert len(datasets.load_from_disk(str(out / "train"))) == 3


def test_front_matter_names_the_files_of_each_split():
    header = header_of(dataset_card(make_manifest(), SOURCE))
    (config,) = header["configs"]
    assert re.fullmatch(r"content [0-9a-f]{32}", config.pop("description"))
    assert header["configs"] == [
        {
            "config_name": "default",
            "data_files": [
                {"split": "train", "path": "train/*.arrow"},
                {"split": "validation", "path": "validation/*.arrow"},
            ],
        }
    ]
    assert header["size_categories"] == ["n<1K"]
    assert header["tags"] == ["curated", "text"]


def test_split_called_no_is_a_name():
    header = yaml.safe_load(front_matter(make_manifest(splits={"no": 3, "train": 4})))
    assert [one["split"] for one in header["configs"][0]["data_files"]] == ["train", "no"]


def test_front_matter_of_a_run_without_rows_names_no_files():
    rows = {"in": 5, "kept": 0, "dropped": 5, "quarantined": 0, "derived": 0}
    card = dataset_card(make_manifest(splits={}, rows=rows, steps=[]), SOURCE)
    assert "configs" not in header_of(card)
    assert "No row was kept" in card


@pytest.mark.parametrize(
    "name",
    [
        *("a: b # c", "yes", "- x", "---\nconfigs: evil", "☃ 🙂", "\x00\u202e\ud800", "'\""),
        *("on", "1e3", "0o14", "a\x85b: c", "12:30:00", "~"),
    ],
)
def test_front_matter_survives_any_name(name):
    text = front_matter(make_manifest(name=name))
    header = YAML(typ="safe").load(text)
    assert yaml.safe_load(text) == header  # YAML 1.1, by which the hub and `datasets` read
    assert isinstance(header["pretty_name"], str)
    assert len(header["configs"]) == 1
    assert header["pretty_name"] == name or not name.isprintable()


def test_card_says_what_became_of_the_rows():
    card = dataset_card(make_manifest(declared=["labels carry 30 % injected noise"]), SOURCE)
    for said in (
        "kept 700 of 1,000 rows; dropped 290, quarantined 10.",
        "Every row is accounted for: 1,000 = 700 + 290 + 10.",
        "| 1 | word_count | 990 | 700 | 290 | 0 |",
        "| word_count | too_short | dropped | 290 | 29.0 % |",
        "| read | unreadable | quarantined | 10 | 1.0 % |",
        "- labels carry 30 % injected noise",
        "seed 7",
        hashlib.sha256(SOURCE.encode()).hexdigest(),
        'load_dataset("path/to/this/folder", streaming=True)',
    ):
        assert said in card


def test_card_takes_words_for_words():
    card = dataset_card(make_manifest(declared=["a | b\n# head <img src=x>"]), SOURCE)
    assert r"- a \| b \# head \<img src=x\>" in card


@pytest.mark.parametrize(
    ("rows", "category"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10**9, "1B<n<10B"), (10**13, "n>1T")],
)
def test_size_category_is_that_of_the_hub(rows, category):
    assert size_category(rows) == category
