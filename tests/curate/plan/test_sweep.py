import json
import re
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

import curate.plan.sweep
from curate.cli import main
from curate.plan.numbers import parse_values
from curate.plan.sweep import parse_sweep, sweep_recipe
from curate.recipe.recipe import load_recipe

RECIPE = """\
name: web
read: {format: jsonl, path: data.jsonl}
steps:
  - {op: word_count, at_least: 2}
  - {op: near_dedup, similarity: 0.8, shingle: 1}
  - {op: char_count, at_least: 4}
write: {path: out}
"""


def words(*numbers):
    return " ".join(f"w{number}" for number in numbers)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Pairs of texts that share 9 of 10 different words, and 6 of 10."""
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text(RECIPE)
    texts = ["single"]
    for start in range(0, 300, 30):
        texts += [words(*range(start, start + 10)), words(*range(start, start + 9))]
        texts += [words(*range(start + 15, start + 25)), words(*range(start + 15, start + 21))]
    rows = "".join(f"{json.dumps({'text': text})}\n" for text in texts)
    Path("data.jsonl").write_text(rows)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.7,0.8", ["0.7", "0.8"]),
        ("0.7..0.95:0.05", ["0.7", "0.75", "0.8", "0.85", "0.9", "0.95"]),
        ("0.7..0.95", ["0.7", "0.75", "0.8", "0.85", "0.9", "0.95"]),
        ("10..30:10", ["10", "20", "30"]),
        ("1..2:0.4", ["1", "1.4", "1.8"]),
        ("en, de", ["en", "de"]),
        ("3,3", ["3"]),
    ],
)
def test_values_are_lists_or_ranges(text, values):
    assert parse_values(text) == values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1 to 50 values, got none"),
        ("0..1:0.001", "1 to 50 values, got 51"),
        ("0.9..0.7", "does not go up"),
        ("0.7..0.9:0", "does not go up"),
        ("a..b", "is not FIRST..LAST"),
    ],
)
def test_values_that_make_no_sense_are_refused(text, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_values(text)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("64..128", ["64", "77", "90", "102", "115", "128"]),
        ("1..3", ["1", "2", "3"]),
        ("1.5..3", ["1.5", "2", "3"]),  # for the option to refuse
        ("10..30:10", ["10", "20", "30"]),
    ],
)
def test_values_between_the_ends_are_whole_where_the_option_is(text, values):
    assert parse_values(text, whole=True) == values


@pytest.mark.parametrize(
    ("asked", "values"),
    [
        ("permutations=64..66", ["64", "65", "66"]),
        ("shingle=1..3", ["1", "2", "3"]),  # or null
        ("similarity=0..1", ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
    ],
)
def test_type_of_the_option_decides_whether_values_are_whole(asked, values):
    assert parse_sweep(asked, load_recipe("r.yaml"))[2] == values


@pytest.mark.parametrize("place", ["near_dedup.similarity", "similarity", "2.similarity"])
def test_option_is_found_by_op_number_or_alone(place):
    assert parse_sweep(f"{place}=0.7", load_recipe("r.yaml")) == (2, "similarity", ["0.7"])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("similarity", "not of the form STEP.OPTION=VALUES"),
        ("near_dedup.similarty=1", "did you mean 'near_dedup.similarity'"),
        ("at_least=1,2", "stands 2 times; there are: 1.at_least, 3.at_least"),
    ],
)
def test_option_that_is_not_there_or_not_alone_is_refused(asked, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_sweep(asked, load_recipe("r.yaml"))


def test_value_that_the_option_cannot_have_is_refused_before_anything_runs():
    with pytest.raises(ValueError, match="similarity"):
        sweep_recipe("r.yaml", (), "similarity=0.5,1.5", workers=1)


def test_sweep_counts_what_each_value_drops_and_shows_pairs_at_the_border(here):
    found = sweep_recipe("r.yaml", (), "near_dedup.similarity=0.5,0.85,0.95", workers=1)
    assert [(one.value, one.entered, one.dropped) for one in found.values] == [
        ("0.5", 40, 20),
        ("0.85", 40, 10),
        ("0.95", 40, 0),
    ]
    assert [(b.value, b.keeper, b.rows) for b in found.borders] == [
        ("0.5", "0.85", 10),
        ("0.85", "0.95", 10),
    ]
    at = found.borders[1].examples[0]
    assert at.record.value == pytest.approx(0.9)
    assert at.other.text.startswith(at.content.text)
    assert sorted(path.name for path in here.iterdir()) == ["data.jsonl", "r.yaml"]


def test_value_that_leaves_no_row_is_one_of_the_values():
    found = sweep_recipe("r.yaml", (), "word_count.at_least=1,2,1000", workers=1)
    assert [(one.entered, one.dropped) for one in found.values] == [(41, 0), (41, 1), (41, 41)]
    first, last = found.borders
    assert (first.rows, first.examples[0].content.text) == (1, "single")
    assert (last.value, last.keeper, last.rows) == ("1000", "2", 40)
    assert last.examples[0].content.text.startswith("w")


def test_too_many_quarantined_rows_are_told_and_do_not_end_a_sweep(here):
    with (here / "data.jsonl").open("a") as file:
        file.write("no record\n" * 5)
    arguments = ["plan", "r.yaml", "--sweep", "similarity=0.5,0.95", "--workers", "1"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert re.search(r"dropped +share +quarantined +seconds", done.output)
    assert re.search(r"0\.95 +40 +0 +0\.00% +5 ", done.output)


@pytest.mark.parametrize(
    ("asked", "others"),
    [
        ("word_count.at_least=1,2,1000,3", set()),  # no corpus step, nothing to share
        ("similarity=0.5,0.8,0.9", {"cache"}),
    ],
)
def test_rows_and_keys_of_a_value_go_before_the_next_runs(monkeypatch, asked, others):
    run, folders = curate.plan.sweep.run_recipe, []

    def watched(recipe, **options):
        folder = Path(recipe.write.path).parent
        outs = list(folder.glob("[0-9]*"))
        parts = [p for out in outs for p in out.rglob("*") if p.suffix in (".arrow", ".parquet")]
        assert {p.parent.name for p in parts} <= {"ledger"}
        assert len(parts) == len(outs)
        folders.append({p.name for p in folder.iterdir()} - {p.name for p in outs})
        return run(recipe, **options)

    monkeypatch.setattr(curate.plan.sweep, "run_recipe", watched)
    found = sweep_recipe("r.yaml", ("write.keys=true",), asked, workers=1)
    assert folders == [set(), *[others] * (len(found.values) - 1)]


def test_seconds_are_those_of_the_whole_run(monkeypatch):
    run, spent = curate.plan.sweep.run_recipe, []

    def timed(recipe, **options):
        start = time.perf_counter()
        result = run(recipe, **options)
        spent.append(time.perf_counter() - start)
        return result

    monkeypatch.setattr(curate.plan.sweep, "run_recipe", timed)
    found = sweep_recipe("r.yaml", (), "similarity=0.5,0.9", workers=1)
    for one, seconds in zip(found.values, spent, strict=True):
        assert seconds - 0.001 <= one.seconds < seconds + 1


def test_cache_that_is_named_stays(here):
    sweep_recipe("r.yaml", (), "similarity=0.5,0.9", workers=1, cache="kept")
    assert any((here / "kept").iterdir())
    again = sweep_recipe("r.yaml", (), "similarity=0.9", workers=1, cache="kept")
    assert again.values[0].dropped == 10


def test_command_prints_values_and_pairs():
    arguments = ["plan", "r.yaml", "--sweep", "similarity=0.85,0.95", "--workers", "1"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert "step 2 near_dedup: what each similarity drops" in done.output
    assert re.search(r"0\.85 +40 +10 +25\.00%", done.output)
    assert "10 rows are dropped at similarity 0.85 and not at 0.95, such as" in done.output
    assert re.search(r"near_duplicate of data\.jsonl#\d+ \(0\.9\)\n    - .*\n    \+ ", done.output)


def test_command_prints_json():
    arguments = ["plan", "r.yaml", "--sweep", "word_count.at_least=1,2", "--workers", "1", "--json"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    found = json.loads(re.sub(r"^[^{]*", "", done.output, count=1))
    assert [one["dropped"] for one in found["values"]] == [0, 1]
    (border,) = found["borders"]
    assert (border["value"], border["keeper"], border["rows"]) == ("2", "1", 1)
    assert border["examples"][0]["text"] == "single"
