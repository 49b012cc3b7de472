"""The warnings of a run: what is said of which classes and steps, and what is not."""

import io
import json
import random

import pytest
from rich.console import Console

from curate.manifest import read_manifest
from curate.recipe.recipe import Recipe
from curate.run.run import run_recipe
from curate.run.run_text import print_run
from curate.run.run_warnings import ClassLoss
from pipelines.rows import profile


@pytest.mark.parametrize(
    ("lost", "rows", "others", "warned"),
    [
        (37, 100, (10, 100), True),  # more than three times the share of the others
        (30, 100, (10, 100), False),  # exactly three times
        (21, 26, (300, 1000), True),  # 81 %, and a fifth is left where others keep 70 %
        (85, 100, (850, 1000), False),  # nearly all, as of all others
        (85, 100, (750, 1000), False),  # nearly all, and others lose about as much
        (100, 100, (750, 1000), True),  # all
        (20, 25, (600, 1000), False),  # 80 %, but half of what is left of the others
        (2, 2, (0, 1000), False),  # a class of two rows
        (4, 4, (10, 1000), False),
        (5, 5, (0, 1000), True),
        (10, 10, (900, 1000), False),  # one row would be left: chance
        (40, 1000, (1, 10_000), False),  # 4 % is a trifle
        (50, 1000, (1, 10_000), True),
        (90, 100, (0, 0), False),  # the only class there is
        (9, 8, (0, 100), False),  # a step gave rows another label
    ],
)
def test_class_stands_out_beside_the_others(lost, rows, others, warned):
    assert ClassLoss("x", lost, rows, *others).stands_out == warned


def corpus(seed=0):
    """900 rows of three classes, all different; `score` says which go."""
    rng = random.Random(seed)
    made = []
    for i in range(900):
        text = " ".join(rng.choices([f"word{n}" for n in range(500)], k=30))
        made.append({"id": f"r{i}", "text": text, "label": "abc"[i % 3]})
    return made


@pytest.fixture
def run(tmp_path):
    """Run steps over rows; returns the notes that warn, the screen and the report."""

    def call(rows, steps, workers=1, **read):
        (tmp_path / "in").mkdir(exist_ok=True)
        for name in "ab":
            mine = rows[name == "b" :: 2]
            lines = "\n".join(json.dumps(row) for row in mine)
            (tmp_path / "in" / f"{name}.jsonl").write_text(lines)
        given = {
            "name": "small",
            "read": {"format": "jsonl", "path": str(tmp_path / "in"), **read},
            "steps": steps,
            "write": {"path": str(tmp_path / "out"), "overwrite": True},
        }
        recipe = Recipe.model_validate_json(json.dumps(given))
        manifest = run_recipe(recipe, workers=workers).manifest
        assert read_manifest(str(tmp_path / "out")) == manifest
        console = Console(width=300, record=True, file=io.StringIO())
        print_run(manifest, console)
        report = (tmp_path / "out/_curate/report.html").read_text()
        warned = [note for note in manifest.notes if note.warning]
        for note in warned:
            assert f"warning: {note}" in console.export_text(clear=False)
        assert ("Look at this first" in report) == bool(warned)
        return warned, report

    return call


def short(row):
    return {**row, "text": "too short"}


LENGTH = {"op": "word_count", "at_least": 10}


def test_uniform_loss_is_no_warning(run):
    rows = corpus()
    assert run([short(r) if i % 4 == 0 else r for i, r in enumerate(rows)], [LENGTH])[0] == []


def test_run_without_losses_or_labels_has_no_notes(run):
    assert run(corpus(), [LENGTH, {"op": "exact_dedup"}])[0] == []
    unlabelled = [{"text": row["text"]} for row in corpus()]
    half = [short(row) if i % 3 == 0 else row for i, row in enumerate(unlabelled)]
    assert run(half, [LENGTH, {"op": "exact_dedup"}])[0] == []


def test_class_that_loses_more_than_the_others_is_named_with_its_step_and_examples(run):
    rows = corpus()
    gone = [f"r{i}" for i in range(0, 300, 3)]
    rows = [short(row) if row["id"] in gone else row for row in rows]
    (note,), report = run(rows, [{"op": "normalize_text"}, LENGTH])
    assert note.model_dump(exclude={"note"}) == {
        "op": "word_count", "count": 100, "warning": "class", "step": 2, "label": "a",
    }  # fmt: skip
    assert str(note) == (
        "100 of 300 rows of class 'a' are gone (33.3 %; of all other classes 0.0 %), "
        "100 of them at step 2 (word_count)"
    )
    top = report.partition("<h2>Steps</h2>")[0]
    assert "class &#39;a&#39; are gone" in top
    assert top.count("too short") == 3
    assert all(f"<bdi>{i}</bdi>" not in top for i in ("r1", "r2"))


def test_class_is_judged_at_each_step_too(run):
    """The first step takes most of every class, the second half of what is left of one."""
    rows = [short(row) if i % 10 < 5 else row for i, row in enumerate(corpus())]
    left = [row["id"] for row in rows if row["text"] != "too short" and row["label"] == "b"]
    long = {row["id"]: row["text"] + " again" * 30 for row in rows}
    gone = left[: len(left) // 2]
    rows = [{**row, "text": long[row["id"]]} if row["id"] in gone else row for row in rows]
    (note,), report = run(rows, [LENGTH, {"op": "word_count", "at_most": 40}])
    assert (note.warning, note.step, note.label, note.count) == ("class", 2, "b", len(gone))
    assert f"of {len(left)} rows of class 'b' that entered step 2 (word_count) are gone" in str(
        note
    )
    assert "again again" in report.partition("<h2>Steps</h2>")[0]


def test_corpus_steps_count_classes_too_and_workers_do_not_matter(run, monkeypatch):
    monkeypatch.setattr("curate.run.run.SMALLEST_TASK", 20_000)
    rows = corpus()
    copies = [{**row, "id": f"c{row['id']}"} for row in rows if row["label"] == "c"][:200]
    steps = [{"op": "exact_dedup", "keep": "smallest_id"}]
    (note,), report = run(rows + copies, steps)
    assert (note.label, note.count, note.step, note.op) == ("c", 200, 1, "exact_dedup")
    (again,), other = run(rows + copies, steps, workers=2)
    assert again == note

    def top(page):
        return page.partition("<h2>Steps</h2>")[0].partition("Look at this first")[2]

    assert top(other) == top(report)
    assert "the same content, to the letter" in top(report)


def test_worst_classes_are_named_and_the_others_counted(run, monkeypatch):
    monkeypatch.setattr("curate.run.run_warnings.MOST_CLASSES", 2)
    rows = [{**row, "label": f"class {i % 30:02}"} for i, row in enumerate(corpus())]
    bad = {f"class {i:02}": 10 + i for i in range(5)}
    taken = dict.fromkeys(bad, 0)
    for at, row in enumerate(rows):
        if taken.get(row["label"], 30) < bad.get(row["label"], 0):
            taken[row["label"]] += 1
            rows[at] = short(row)
    notes, _ = run(rows, [LENGTH])
    assert [note.count for note in notes] == [14, 13, 3]
    assert notes[-1].label is None
    assert str(notes[-1]).startswith("3 more classes lost more than 3 times the share")


def test_column_of_too_many_labels_is_no_column_of_classes(run, monkeypatch):
    monkeypatch.setattr(profile, "MOST_LABELS", 2)
    monkeypatch.setattr("pipelines.ledger.losses.MOST_LABELS", 2)
    rows = [short(row) if row["label"] == "a" else row for row in corpus()]
    assert run(rows, [LENGTH])[0] == []


def test_step_that_drops_most_rows_is_named(run):
    rows = [short(row) if i % 3 else row for i, row in enumerate(corpus())]
    rows = [{**row, "label": None} for row in rows]
    (note,), report = run(rows, [LENGTH])
    assert note.model_dump(exclude={"note"}) == {
        "op": "word_count", "count": 600, "warning": "step", "step": 1,
    }  # fmt: skip
    said = "600 of 900 rows that entered step 1 (word_count) were dropped (66.7 %)"
    assert str(note) == said
    assert "too short" in report.partition("<h2>Steps</h2>")[0]


@pytest.mark.parametrize(
    "step",
    [
        {"op": "sample", "rows": 20},
        {"op": "select_top", "by": "score", "fraction": 0.1},
        {"op": "word_count", "at_least": 30},  # the step drops four rows of seven
    ],
)
def test_budgets_and_handfuls_of_rows_are_no_warning(run, step):
    rows = [{**row, "score": i % 7} for i, row in enumerate(corpus())]
    if step["op"] == "word_count":
        rows = [short(row) if i < 4 else row for i, row in enumerate(rows[:7])]
    assert run(rows, [step])[0] == []


def twins():
    """Ten pairs of one label, ten of two, each the same text."""
    rows = corpus()[:40]
    for i in range(0, 40, 2):
        rows[i + 1] = {**rows[i], "id": rows[i + 1]["id"], "label": "b" if i < 20 else "d"}
        rows[i]["label"] = "b"
    return rows


@pytest.mark.parametrize("step", [{"op": "exact_dedup"}, {"op": "near_dedup", "similarity": 0.7}])
def test_duplicates_of_other_labels_are_warned_of_with_examples(run, step):
    notes, report = run(twins(), [step])
    note = next(note for note in notes if note.warning == "labels")
    assert (note.op, note.step, note.count) == (step["op"], 1, 10)
    assert str(note) == (
        f"10 rows that step 1 ({step['op']}) dropped as duplicates have another label than the "
        "row kept for them (see `conflicts`)"
    )
    top = report.partition("<h2>Steps</h2>")[0].partition("Look at this first")[2]
    assert top.count("label differs") >= 3
    assert "their labels differ" in top


def test_labels_that_are_to_be_compared_must_be_there(run):
    rows = [{"text": row["text"]} for row in corpus()[:40]]
    notes, _ = run(rows, [{"op": "exact_dedup"}, {"op": "near_dedup", "conflicts": "majority"}])
    assert [str(note) for note in notes] == [
        "40 rows that entered step 2 (near_dedup) have no labels for `conflicts: majority` to "
        "compare: name their column by `read: label`"
    ]


def test_labels_can_have_another_name_or_none(run):
    named = [{"topic" if k == "label" else k: v for k, v in row.items()} for row in twins()]
    assert run(named, [{"op": "exact_dedup"}])[0] == []
    notes, _ = run(named, [{"op": "exact_dedup"}], label="topic")
    assert "labels" in {note.warning for note in notes}


@pytest.mark.parametrize(("conflicts", "reasons"), [
    ("drop_all", {"duplicate": 10, "label_conflict": 20}),
    ("majority", {"duplicate": 10, "label_conflict": 20}),
])  # fmt: skip
def test_what_the_recipe_decides_about_labels_is_no_warning(run, tmp_path, conflicts, reasons):
    notes, report = run(twins(), [{"op": "exact_dedup", "conflicts": conflicts}])
    assert {note.warning for note in notes} <= {"class", "step"}
    assert read_manifest(str(tmp_path / "out")).dropped_by_reason == reasons
    assert "label_conflict" in report
