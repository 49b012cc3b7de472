import pytest

from curate.errors import RecipeError
from curate.recipe.recipe import load_recipe

HEAD = """\
name: web
read: {format: jsonl, path: data.jsonl}
write: {path: out}
prove:
  test: t.jsonl
"""


@pytest.fixture
def section(tmp_path):
    """Load the `prove` section of a recipe."""

    def load(*lines: str):
        path = tmp_path / "r.yaml"
        path.write_text(HEAD + "".join(f"  {line}\n" for line in lines))
        return load_recipe(path).prove

    return load


def test_section_needs_only_task_and_test(section):
    found = section("task: language_modelling")
    assert (found.content, found.label, found.smallest_effect) == ("text", None, None)
    assert (found.seeds, found.sizes, found.rates) == (5, 5, (0.5, 2.0))
    assert not found.attribution
    assert not found.compress


def test_section_takes_every_option(section):
    found = section(
        "task: image_classification",
        "tests: {clean: c.parquet, far-away: f.parquet}",
        "validation: v.parquet",
        "model: cnn",
        "options: {rate: 0.1, batch: 32, compile: true}",
        "rates: []",
        "also: [augmented, warm]",
        "profile: gpu",
        "processes: 8",
    )
    assert (found.content, found.rates, found.also) == ("image", (), ("augmented", "warm"))
    assert found.options == {"rate": 0.1, "batch": 32, "compile": True}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ("task: image_classification", "model: textcnn"),
            "prove.model: image_classification trains one of cnn, features, finetune "
            "(got 'textcnn')",
        ),
        (
            ("task: text_classification", "options: {raet: 0.1}"),
            "prove.options: has no 'raet'; allowed: width",
        ),
        (
            ("task: text_classification", "options: {rate: fast}"),
            "prove.options: rate: input should be a valid number",
        ),
        (("task: text_classification", "sizes: 1"), "prove.sizes: one point is no curve (got 1)"),
        (("task: text_classification", "seeds: 2"), "prove.seeds: must be at least 3 (got 2)"),
        (("task: text_classification", "smallest_effect: 2"), "prove.smallest_effect: must be"),
        (("task: text_classification", "also: [warmer]"), "prove.also.1: must be augmented or"),
        (("task: text_classification", "tests: {a/b: x}"), "prove.tests.a/b"),
    ],
)
def test_section_says_what_is_wrong(section, lines, said):
    with pytest.raises(RecipeError) as caught:
        section(*lines)
    assert said in str(caught.value)


def test_section_documents_every_option():
    from curate.recipe.prove_section import Prove

    assert set(Prove.field_docs()) == set(Prove.model_fields) - {"task"} | {"task"}
