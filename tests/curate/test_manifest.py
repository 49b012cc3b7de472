import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from made_run import make_manifest

from curate.cli import main
from curate.manifest import MANIFEST, Manifest, parse_manifest, read_manifest
from curate.recipe.recipe import Recipe, Write
from curate.run.run import run_recipe
from pipelines.errors import UserError
from pipelines.steps import STEPS


def test_manifest_of_a_run_is_read_as_it_was_written(tmp_path):
    lines = [json.dumps({"text": f"row number {i % 7}"}) for i in range(20)]
    (tmp_path / "in.jsonl").write_text("\n".join([*lines, "{broken"]) + "\n")
    recipe = Recipe(
        name="tiny",
        max_quarantined=1,
        read={"format": "jsonl", "path": str(tmp_path / "in.jsonl")},
        steps=(STEPS["exact_dedup"].model_validate({"op": "exact_dedup"}),),
        write=Write(path=str(tmp_path / "out"), keys=True),
    )
    made = run_recipe(recipe)
    written = json.loads((tmp_path / "out" / MANIFEST).read_bytes())
    assert read_manifest(made.out) == made.manifest
    assert made.manifest.as_json() == written
    assert written["rows"] == {"in": 21, "kept": 7, "dropped": 13, "quarantined": 1, "derived": 0}
    assert written["keys"][0]["files"][0]["rows"] == 20
    assert "damaged_files" not in written
    assert "measured" not in written["steps"][1]


def test_keys_of_a_later_version_are_passed_over():
    raw = {**make_manifest().as_json(), "new": {"a": 1}}
    assert parse_manifest(json.dumps(raw).encode(), "m.json") == make_manifest()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{", "m.json: no manifest of curate (the whole file: Invalid JSON"),
        (b"[]", "m.json: no manifest of curate (the whole file: "),
        (b'{"name": 1}', "m.json: no manifest of curate (name: "),
    ],
)
def test_what_is_no_manifest_is_the_users_to_mend(raw, said):
    with pytest.raises(UserError) as caught:
        parse_manifest(raw, "m.json")
    assert str(caught.value).startswith(said)


def test_schema_documents_every_key():
    schema = json.loads(CliRunner().invoke(main, ["schema", "manifest"]).output)
    assert set(schema["properties"]) == {
        field.alias or name for name, field in Manifest.model_fields.items()
    }
    steps = schema["$defs"]["StepCounts"]["properties"]
    assert steps["in"]["description"] == "Rows that entered the step."
    assert Path(MANIFEST).name == "manifest.json"
