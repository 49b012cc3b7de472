"""What is learnt from two datasets, told by the columns that both have."""

from collections.abc import Collection

from curate.prove.prove_data import Names
from pipelines.errors import UserError
from training.recipes import Task

TASKS = (
    "an image and a label column make image_classification, a text and a label column "
    "text_classification, a text column alone language_modelling"
)


def infer_task(raw: Collection[str], curated: Collection[str], names: Names) -> Task:
    """Return the task that the columns of raw and curated allow.

    Args:
        raw: column names before.
        curated: column names after.
        names: columns that the user named, by role; the others are called as their roles are.

    Raises:
        UserError: no task fits, or a label stands on one side only; the message tells the columns.
    """
    both = set(raw) & set(curated)
    has = {role: (names.get(role) or role) for role in ("text", "image", "label")}
    if has["label"] in set(raw) ^ set(curated) and {has["text"], has["image"]} & both:
        where, other = ("raw", "curated") if has["label"] in raw else ("curated", "raw")
        raise UserError(
            f"{where} has a column {has['label']!r} and {other} has not ({_listed(raw, curated)}); "
            "name a label that both have (--label), or learn the text alone "
            "(--task language_modelling)"
        )
    labelled = has["label"] in both
    if has["image"] in both and labelled:
        return "image_classification"
    if has["text"] in both:
        return "text_classification" if labelled else "language_modelling"
    raise UserError(
        f"no task fits the columns that both have ({_listed(raw, curated)}): {TASKS}; name columns "
        "with --text, --image, --label"
    )


def _listed(raw: Collection[str], curated: Collection[str]) -> str:
    return f"raw: {', '.join(raw) or 'none'}; curated: {', '.join(curated) or 'none'}"
