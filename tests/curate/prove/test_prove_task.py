import pytest

from curate.prove.prove_task import infer_task


@pytest.mark.parametrize(
    ("columns", "task"),
    [
        (["image", "label"], "image_classification"),
        (["image", "text", "label"], "image_classification"),
        (["text", "label"], "text_classification"),
        (["text", "url"], "language_modelling"),
    ],
)
def test_task_is_told_by_the_columns(columns, task):
    assert infer_task(columns, [*columns, "other"], {}) == task


def test_task_goes_by_columns_the_user_names():
    columns = ["review", "stars"]
    assert infer_task(columns, columns, {"text": "review"}) == "language_modelling"
    named = {"text": "review", "label": "stars"}
    assert infer_task(columns, columns, named) == "text_classification"


def test_task_refuses_a_label_on_one_side():
    with pytest.raises(ValueError, match=r"raw has a column 'label' and curated has not"):
        infer_task(["text", "label"], ["text"], {})


@pytest.mark.parametrize("columns", [["review"], ["image"], []])
def test_task_says_which_columns_there_are(columns):
    with pytest.raises(ValueError, match=rf"raw: {columns[0] if columns else 'none'};.*--text"):
        infer_task(columns, columns, {})
