"""Runs on an object store: a real S3 server on the loopback."""

import json
import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner
from datasets import load_from_disk

from curate.cli import main
from curate.errors import RunFailed
from curate.manifest import MANIFEST
from curate.recipe.recipe import Recipe, load_recipe
from curate.run import output
from curate.run.output import PLACING
from curate.run.run import run_recipe
from pipelines import files, stores
from pipelines.errors import UserError
from pipelines.storage_options import check_storage
from pipelines.stores import check_store


def recipe(bucket, **more):
    given = {
        "name": "stored",
        "read": {"format": "jsonl", "path": f"{bucket}/in"},
        "steps": [{"op": "normalize_text"}, {"op": "exact_dedup"}],
        "write": {"path": f"{bucket}/out"},
        **more,
    }
    return Recipe.model_validate_json(json.dumps(given))


def below(folder):
    return sorted(files.list_below(folder))


def test_run_writes_the_files_that_it_writes_on_a_disk(bucket, tmp_path):
    stored = run_recipe(recipe(bucket)).manifest
    assert stored.rows.kept == 80
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(files.read_bytes(f"{bucket}/in/{name}"))
    local = run_recipe(recipe(str(tmp_path))).manifest
    assert stored.shards == local.shards
    assert stored.ledger == local.ledger
    there = [str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*")]
    assert below(f"{bucket}/out") == sorted(n for n in there if (tmp_path / "out" / n).is_file())
    assert not [name for name in files.list_all(bucket) if "/." in name]
    assert load_from_disk(f"{bucket}/out")["train"].num_rows == 80


def test_each_shard_is_sent_once_and_the_manifest_comes_last(bucket, server):
    run_recipe(recipe(bucket))
    shards = [(path, copied) for path, copied in server.puts if path.endswith("-00001.arrow")]
    assert [copied for _, copied in shards] == [False, True]
    to_output = [path for path, _ in server.puts if "/out/" in path and ".work" not in path]
    assert to_output[-1].endswith(MANIFEST)
    assert to_output[0].endswith(PLACING)


def test_output_is_replaced_only_if_asked_and_leaves_nothing_behind(bucket):
    run_recipe(recipe(bucket, write={"path": f"{bucket}/out", "shard_size": 400}))
    many = below(f"{bucket}/out")
    with pytest.raises(FileExistsError, match="is already there"):
        run_recipe(recipe(bucket))
    run_recipe(recipe(bucket), overwrite=True)
    assert len(below(f"{bucket}/out")) < len(many)
    assert load_from_disk(f"{bucket}/out")["train"].num_rows == 80


def test_run_that_dies_while_placing_is_no_output_and_is_taken_up(bucket, monkeypatch):
    copy = files._move_objects

    def dies(system, inside, to):
        system.cp_file(system.find(inside)[0], f"{to}/README.md")
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "_move_objects", dies)
    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe(bucket))
    assert not files.exists(f"{bucket}/out/{MANIFEST}")
    monkeypatch.setattr(files, "_move_objects", copy)
    said = []
    run_recipe(recipe(bucket), say=said.append)
    assert any("taking up" in one for one in said)
    assert below(f"{bucket}/out").count(MANIFEST) == 1
    assert PLACING not in below(f"{bucket}/out")


def test_server_that_slows_down_is_asked_again(bucket, server):
    server.slow = 3
    assert run_recipe(recipe(bucket)).manifest.rows.kept == 80
    assert server.slow == 0


def test_cache_lies_on_the_store_too(bucket):
    run_recipe(recipe(bucket, run={"cache": f"{bucket}/cache"}))
    again = run_recipe(recipe(bucket, run={"cache": f"{bucket}/cache"}), overwrite=True)
    assert again.manifest.rows.kept == 80
    assert any("shards" in name for name in below(f"{bucket}/cache"))


def told(path, *command):
    done = CliRunner().invoke(main, [*command, str(path)])
    return done.exit_code, done.output + (done.stderr if done.stderr_bytes else "")


def written(tmp_path, text):
    (tmp_path / "r.yaml").write_text(text)
    return tmp_path / "r.yaml"


RECIPE = """\
name: s
read: {{format: jsonl, path: {bucket}/in}}
steps: [{{op: normalize_text}}]
write: {{path: {out}/out}}
"""


def test_bucket_that_is_not_there_is_not_made(bucket, tmp_path):
    path = written(tmp_path, RECIPE.format(bucket=bucket, out="s3://no-such-bucket-here"))
    code, said = told(path, "run")
    assert code == 2
    assert "there is no bucket 'no-such-bucket-here'" in said
    assert not files.exists("s3://no-such-bucket-here")


def test_store_without_credentials_is_a_sentence(bucket, tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    path = written(tmp_path, RECIPE.format(bucket=bucket, out=tmp_path))
    code, said = told(path, "run")
    s3fs.S3FileSystem.clear_instance_cache()
    assert code == 2
    assert "the object store got no credentials" in said


def test_store_that_does_not_answer_is_a_sentence(bucket, tmp_path):
    text = RECIPE.format(bucket=bucket, out=tmp_path) + (
        "storage: {s3: {endpoint_url: 'http://127.0.0.1:9', "
        "config_kwargs: {connect_timeout: 1, retries: {max_attempts: 1}}}}\n"
    )
    code, said = told(written(tmp_path, text), "run")
    stores.use_storage({})
    assert code == 1
    assert "the object store cannot be reached" in said


def test_options_of_the_recipe_reach_the_store(bucket, server, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    given = recipe(bucket, storage={"s3": {"endpoint_url": server.url}})
    assert run_recipe(given).manifest.rows.kept == 80
    stores.use_storage({})


@pytest.mark.parametrize(
    "storage",
    [
        {"s3": {"key": "hidden"}},
        {"s3": {"client_kwargs": {"aws_secret_access_key": "hidden"}}},
        {"az": {"connection_string": "hidden"}},
        {"gs": {"token": "hidden"}},
    ],
)
def test_secret_in_a_recipe_is_refused_and_not_repeated(storage):
    with pytest.raises(UserError, match="no place in a recipe") as caught:
        check_storage(storage)
    assert "hidden" not in str(caught.value)


def test_url_with_a_password_is_refused_and_not_repeated(tmp_path):
    text = RECIPE.format(bucket="s3://user:hidden@bucket", out=tmp_path)
    code, said = told(written(tmp_path, text), "validate")
    assert code == 2
    assert "must not hold a password" in said
    assert "hidden" not in said


def test_missing_package_is_told_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(
        stores, "find_spec", lambda name: None if name == "gcsfs" else find_spec(name)
    )
    path = written(tmp_path, RECIPE.format(bucket="gs://bucket", out=tmp_path))
    code, said = told(path, "validate")
    assert code == 2
    assert "pip install 'curate-proof[gcs]'" in said
    with pytest.raises(UserError, match="gcsfs"):
        check_store("gs://x/y")


def test_no_secret_lies_in_any_file(bucket, tmp_path):
    run_recipe(recipe(bucket, write={"path": str(tmp_path / "out")}))
    for file in Path(tmp_path / "out").rglob("*"):
        assert not file.is_file() or b"Xy7-hidden-Xy7" not in file.read_bytes()
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == "Xy7-hidden-Xy7"


def test_file_missing_from_the_store_fails_the_run(bucket, monkeypatch):
    place = output._copy_into_place

    def loses(source, target):
        place(source, target)
        files.remove_file(f"{target}/train/data-00000-of-00001.arrow")

    monkeypatch.setattr(output, "_copy_into_place", loses)
    with pytest.raises(RunFailed, match="is in the manifest and not there"):
        run_recipe(recipe(bucket))
    assert load_recipe  # the recipe itself is fine
