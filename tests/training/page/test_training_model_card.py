import io

import example_results as examples
import pytest
from ruamel.yaml import YAML

from training.page.model_card import model_card, write_model_card


def header(card):
    _, front, _ = card.split("---\n", 2)
    return YAML(typ="safe").load(io.StringIO(front))


def test_header_indexes_the_scores_of_the_arms_compared():
    found = header(model_card(examples.full_result()))
    assert "license" not in found
    assert found["pipeline_tag"] == "text-classification"
    assert "synthetic-defects" in found["tags"]
    (entry,) = found["model-index"][0]["results"]
    assert entry["task"]["type"] == "text-classification"
    assert {"type", "name"} <= entry["dataset"].keys()
    values = {metric["name"].split(",")[1]: metric["value"] for metric in entry["metrics"]}
    assert values[" trained on curated"] == pytest.approx(0.664, abs=0.001)


def test_bits_are_indexed_with_their_own_sign():
    (entry,) = header(model_card(examples.full_result("bits per byte")))["model-index"][0][
        "results"
    ]
    assert {metric["type"] for metric in entry["metrics"]} == {"bits_per_byte"}
    assert all(metric["value"] > 0 for metric in entry["metrics"])


def test_the_hub_reads_the_header():
    hub = pytest.importorskip("huggingface_hub")
    data = hub.ModelCard(model_card(examples.full_result())).data
    assert {found.metric_type for found in data.eval_results} == {"accuracy"}


def test_a_void_result_is_not_indexed():
    for result in (examples.invalid_result(), examples.broken_result()):
        assert "model-index" not in header(model_card(result))


@pytest.mark.parametrize(
    "said",
    [
        "is better than on raw",
        "**Synthetic defects.** 30 % of the labels of raw were flipped at random",
        "| random@n | random raw rows, as many as curated has | 5,412 |",
        "Not a general-purpose model",
        "Measured from 338 to 10,000 rows",
        "Outside data used by curation: fastText lid.176",
        "Curating: 41.3 s",
        "Seeds: 0, 1, 2, 3, 4.",
        "59071c86",
        "160,000 examples in 2,500 steps",
    ],
)
def test_card_says_what_a_reader_must_know(said):
    assert said in model_card(examples.full_result())


def test_scores_alone_make_a_card(tmp_path):
    (tmp_path / "result.json").write_text(examples.minimal_result().model_dump_json())
    write_model_card(tmp_path / "result.json", tmp_path / "MODEL_CARD.md")
    card = (tmp_path / "MODEL_CARD.md").read_text("utf-8")
    assert "Measured at one size only" in card
    assert "recipe is not on record" in card
    assert "None" not in card


def test_what_users_write_stays_words():
    nasty = examples.full_result().model_copy(update={"notes": ["a | b\n# <b>head</b>"]})
    card = model_card(nasty)
    assert "\n# <b>" not in card
    assert r"a \| b \# \<b\>head" in card
