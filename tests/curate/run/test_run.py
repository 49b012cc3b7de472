import gzip
import json
import time
from pathlib import Path

import pytest
from datasets import load_dataset, load_from_disk
from rich.console import Console

from curate.errors import InputDamaged, RunFailed, TooManyQuarantined
from curate.recipe.recipe import Recipe
from curate.run import output
from curate.run.output import MANIFEST, place_output
from curate.run.run import _input, _work_folder, run_recipe
from curate.run.run_text import print_run
from pipelines import files
from pipelines.errors import UserError
from pipelines.readers.read_plan import make_plan


def recipe(folder: Path, **more) -> Recipe:
    given = {
        "name": "small",
        "read": {"format": "jsonl", "path": str(folder / "in")},
        "steps": [{"op": "normalize_text"}],
        "write": {"path": str(folder / "out")},
        **more,
    }
    return Recipe.model_validate_json(json.dumps(given))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    for name in "abcd":
        lines = [json.dumps({"id": f"{name}{i}", "text": f"row {i} of {name}"}) for i in range(20)]
        (tmp_path / "in" / f"{name}.jsonl").write_text("\n".join(lines))
    return tmp_path


def test_work_of_another_cut_of_the_input_is_not_taken_up(folder):
    small = recipe(folder)
    whole = make_plan(small.read)
    size = whole.files[0].size
    cuts = {}
    for target in range(size // 3, 5 * size):
        plan = make_plan(small.read, target_bytes=target)
        cut = tuple(tuple((p.file, p.start, p.stop) for p in task.pieces) for task in plan.tasks)
        if cut not in cuts:
            cuts[cut] = _work_folder("/x/out", small, _input(small, plan, {}))
    counts = [len(cut) for cut in cuts]
    assert len(set(counts)) < len(counts), "no two cuts have the same number of tasks"
    assert len(set(cuts.values())) == len(cuts)


def test_order_of_split_shares_decides_about_the_work_folder(folder):
    plan = make_plan(recipe(folder).read)
    one, other = (
        recipe(folder, steps=[{"op": "split", "shares": shares}])
        for shares in ({"train": 0.9, "test": 0.1}, {"test": 0.1, "train": 0.9})
    )
    folders = {_work_folder("/x/out", made, _input(made, plan, {})) for made in (one, other)}
    assert len(folders) == 2


def test_code_and_libraries_decide_about_the_work_folder(folder, tmp_path, monkeypatch):
    plan = make_plan(recipe(folder).read)
    (tmp_path / "own_step.py").write_text(
        "from pipelines.steps.step import Map\nclass Own(Map):\n    op: str = 'own'\n"
        "    def apply(self, rows, chance):\n        return rows\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    from own_step import Own

    given = recipe(folder).model_copy(update={"steps": (Own(),)})
    before = _input(given, plan, {})
    assert any(said.startswith("xxhash ") for said in before["versions"])
    (tmp_path / "own_step.py").write_text((tmp_path / "own_step.py").read_text() + "# changed\n")
    assert _input(given, plan, {})["code"] != before["code"]


def test_run_that_fails_to_move_keeps_the_old_output(folder, monkeypatch):
    (folder / "old").mkdir()
    (folder / "old" / "precious").touch()
    (folder / "new").mkdir()
    rename = files.rename

    def broken(source, target):
        if source.endswith("new"):
            raise OSError("disk full")
        rename(source, target)

    monkeypatch.setattr(output.files, "rename", broken)
    with pytest.raises(OSError, match="disk full"):
        place_output(str(folder / "new"), str(folder / "old"))
    assert (folder / "old" / "precious").exists()


def test_object_store_gets_the_manifest_last(monkeypatch):
    files.write_bytes_atomically("memory://last/new/_curate/manifest.json", b"{}")
    files.write_bytes_atomically("memory://last/new/train/data.arrow", b"rows")
    seen = []
    rename = files.rename

    def watched(source, target):
        rename(source, target)
        seen.append(files.exists(f"{target}/{MANIFEST}"))

    monkeypatch.setattr(output.files, "rename", watched)
    place_output("memory://last/new", "memory://last/out")
    assert seen[0] is False
    assert files.read_bytes(f"memory://last/out/{MANIFEST}") == b"{}"
    assert files.read_bytes("memory://last/out/train/data.arrow") == b"rows"


def test_too_many_quarantined_says_where_the_output_was_put_aside(folder):
    with (folder / "in/a.jsonl").open("a") as lines:
        lines.write("\n{broken\n")
    with pytest.raises(TooManyQuarantined, match=r"put aside, with its ledger: .*out\.rejected"):
        run_recipe(recipe(folder, max_quarantined=0))
    assert not (folder / "out").exists()
    assert (folder / "out.rejected" / MANIFEST).exists()


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("in", "holds the input"),
        ("", "holds the input"),
        ("in/out", "lies inside the input"),
    ],
)
def test_output_around_or_inside_the_input_is_refused(folder, out, said):
    before = sorted(folder.rglob("*"))
    with pytest.raises(ValueError, match=said):
        run_recipe(recipe(folder, write={"path": str(folder / out), "overwrite": True}))
    assert sorted(folder.rglob("*")) == before


def test_output_beside_a_single_input_file_is_fine(folder):
    read = {"format": "jsonl", "path": str(folder / "in/a.jsonl")}
    made = run_recipe(recipe(folder, read=read, write={"path": str(folder / "in/out")}))
    assert made.manifest.rows.kept == 20


def test_folder_that_is_no_output_is_never_replaced(folder):
    (folder / "out").mkdir()
    (folder / "out/thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="no output of curate, so it is not replaced"):
        run_recipe(recipe(folder, write={"path": str(folder / "out"), "overwrite": True}))
    assert (folder / "out/thesis.tex").exists()


def test_output_that_cannot_be_created_is_named(folder):
    (folder / "file").touch()
    with pytest.raises(ValueError, match=r"write.path .*file/out: cannot be created"):
        run_recipe(recipe(folder, write={"path": str(folder / "file/out")}))


def test_run_without_a_row_left_says_why(folder):
    with pytest.raises(RunFailed, match=r"left of 80: 80 too_long at step 1 \(word_count"):
        run_recipe(recipe(folder, steps=[{"op": "word_count", "at_most": 1}]))
    broken = {"format": "jsonl", "path": str(folder / "in"), "text": "txt"}
    with pytest.raises(RunFailed, match=r"80 unreadable at step 0 \(read\), such as a.jsonl: l"):
        run_recipe(recipe(folder, read=broken, max_quarantined=100))


def test_seconds_of_a_corpus_step_hold_its_rounds(folder, monkeypatch):
    from pipelines.steps.dedup import exact_dedup

    solve = exact_dedup.ExactDedup._solve

    def slow(self, address, mail):
        time.sleep(0.3)
        return solve(self, address, mail)

    monkeypatch.setattr(exact_dedup.ExactDedup, "_solve", slow)
    made = run_recipe(recipe(folder, steps=[{"op": "exact_dedup"}]))
    assert made.manifest.steps[1].seconds >= 0.3


def test_file_cut_short_is_told_loudly(folder):
    rows = b"".join(b'{"id": "%d", "text": "row %d"}\n' % (i, i * 7919) for i in range(9000))
    (folder / "in/e.jsonl.gz").write_bytes(gzip.compress(rows)[:-2000])
    with pytest.raises(InputDamaged, match=r"so rows are missing: e.jsonl.gz: byte"):
        run_recipe(recipe(folder))
    assert not (folder / "out").exists()
    read = {"format": "jsonl", "path": str(folder / "in"), "damaged": "allow"}
    made = run_recipe(recipe(folder, read=read))
    (place,) = made.manifest.damaged_files
    assert place.startswith("e.jsonl.gz: ")
    assert "rows are missing: e.jsonl.gz" in made.manifest.declared[0]
    for name in ("README.md", "_curate/report.html"):
        assert "rows are missing" in (folder / "out" / name).read_text()


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def written_again(path):
    path.write_bytes(path.read_bytes().replace(b"row", b"ROW"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (cut, r"had .* bytes, has"),
        (Path.unlink, "b.jsonl: is gone"),
        (written_again, "b.jsonl: was written again"),
    ],
)
@pytest.mark.parametrize("moment", ["running", "checking"])
def test_file_that_changes_while_it_is_read_is_told(change, said, moment, folder):
    def progress(doing):
        if doing.startswith(moment):
            change(folder / "in/b.jsonl")

    with pytest.raises(InputDamaged, match=said) as caught:
        run_recipe(recipe(folder), progress=progress)
    assert Path(caught.value.place).name == "out.rejected"
    assert not (folder / "out").exists()


def test_rows_of_a_file_that_shrank_are_estimated(folder):
    lines = [json.dumps({"id": f"e{i}", "text": f"row {i:04d}"}) + "\n" for i in range(1000)]
    whole = "".join(lines)
    (folder / "in/e.jsonl").write_text(whole)

    def progress(doing):
        if doing.startswith("running"):
            (folder / "in/e.jsonl").write_text(whole[: len(whole) * 3 // 5])

    read = {"format": "jsonl", "path": str(folder / "in"), "damaged": "allow"}
    manifest = run_recipe(recipe(folder, read=read), progress=progress).manifest
    assert manifest.missing_rows == pytest.approx(400, abs=3)
    assert manifest.rows.quarantined == 1


def lines_in(folder, name, *rows):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join(map(json.dumps, rows)))


def told(manifest):
    return {(note.note, note.count) for note in manifest.notes}


def test_run_tells_of_ids_that_stand_for_several_rows(tmp_path):
    lines_in(tmp_path, "in/a.jsonl", *({"id": i, "text": f"t{i}"} for i in (1, 2, 1, 3, 1, 2)))
    manifest = run_recipe(recipe(tmp_path)).manifest
    assert told(manifest) == {("rows share their id with another row, such as '1'", 5)}


def test_run_stores_no_class_for_an_empty_label(tmp_path):
    labels = ["x", "", "y", ""]
    lines_in(tmp_path, "in/a.jsonl", *({"text": f"t{i}", "label": x} for i, x in enumerate(labels)))
    manifest = run_recipe(recipe(tmp_path)).manifest
    assert manifest.features["label"]["names"] == ["x", "y"]
    assert manifest.profile.before.labels == {"x": 1, "y": 1}
    assert told(manifest) == {("rows whose label is empty: stored without one", 2)}
    kept = load_from_disk(tmp_path / "out")["train"]["label"]
    assert list(kept) == [0, None, 1, None]


def test_run_keeps_the_splits_of_folders(tmp_path):
    lines_in(tmp_path, "in/train/a.jsonl", {"text": "a"}, {"text": "b"})
    lines_in(tmp_path, "in/test/a.jsonl", {"text": "c"})
    manifest = run_recipe(recipe(tmp_path)).manifest
    assert manifest.splits == {"test": 1, "train": 2}
    assert load_dataset(str(tmp_path / "out"))["test"]["text"][:] == ["c"]


def test_run_tells_what_it_passed_over(tmp_path, capsys):
    lines_in(tmp_path, "in/a.jsonl", {"text": "a"})
    (tmp_path / "in/b.docx").touch()
    manifest = run_recipe(recipe(tmp_path)).manifest
    said = "passed over, as files of other kinds: b.docx"
    assert told(manifest) == {(said, 1)}
    print_run(manifest, Console(width=200))
    assert f"note: {said} (1)" in capsys.readouterr().out
    assert said in (tmp_path / "out/_curate/report.html").read_text()


STRANGERS = {
    "latin-1": ('{"text": "caf\xe9"}\n'.encode("latin-1"), "it may be Latin-1 or Windows-1252"),
    "utf-16": ('{"text": "a"}\n'.encode("utf-16"), "looks like UTF-16: save it as UTF-8"),
    "array": (b'[{"text": "a"},\n{"text": "b"}]\n', "looks like one JSON array: write one object"),
    "cr": (b'{"text": "a"}\r{"text": "b"}\r', "ends its lines with CR alone: write LF"),
    "indented": (b'{\n  "text": "a"\n}\n', "looks like JSON over several lines"),
    "gzip": (gzip.compress(b'{"text": "a"}\n'), "looks like gzip: end its name with .gz"),
    "parquet": (b"PAR1\n\n", "looks like Parquet: read it with `format: parquet`"),
}


@pytest.mark.parametrize("kind", STRANGERS)
def test_run_says_what_a_file_is_that_cannot_be_read(kind, tmp_path):
    data, said = STRANGERS[kind]
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jsonl").write_bytes(data)
    with pytest.raises(TooManyQuarantined, match=said):
        run_recipe(recipe(tmp_path))


def test_run_says_how_fields_are_set_apart(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.csv").write_text("id;text\n1;a\n")
    read = {"format": "csv", "path": str(tmp_path / "in"), "text": "text"}
    with pytest.raises(UserError, match=r"set apart by ';'; write `read: \{delimiter: ';'\}`"):
        run_recipe(recipe(tmp_path, read=read))
