"""Object stores that refuse or fail: one sentence, the right exit code, nothing half-visible."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from pydantic import TypeAdapter
from s3_server import (
    BROKEN,
    BUSY,
    CUT_SHORT,
    DENIED,
    QUICK,
    SECRET,
    SILENT,
    WRONG_KEY,
    WRONG_SECRET,
)

from curate.cli import main
from curate.prove.prove_data import bring, rows_of
from curate.recipe.recipe import load_recipe
from pipelines import files, listings
from pipelines.readers import Read
from pipelines.readers.read_plan import make_plan, read_task
from pipelines.store_errors import StoreFailed, StoreRefused
from pipelines.stores import reached_by, storage_in_use

RECIPE = """\
name: s
read: {{format: jsonl, path: {bucket}/in}}
steps: [{{op: normalize_text}}, {{op: exact_dedup}}]
write: {{path: {out}/out}}
storage: {{s3: {{config_kwargs: {{retries: {{max_attempts: 0}}}}}}}}
"""


@pytest.fixture
def stored(bucket):
    """A bucket whose store is asked once, not five times."""
    with reached_by(QUICK):
        yield bucket


@pytest.fixture
def told(bucket, tmp_path):
    """Run a command on a recipe; returns exit code and what it said."""

    def run(*command, text=RECIPE, out=bucket, first="run", last=()):
        path = tmp_path / "r.yaml"
        path.write_text(text.format(bucket=bucket, out=out))
        done = CliRunner().invoke(
            main, [*(first,), *([] if last else [str(path)]), *command, *last]
        )
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        said = done.output + (done.stderr if done.stderr_bytes else "")
        assert SECRET not in said
        return done.exit_code, said

    return run


def all_files(bucket):
    return sorted(files.list_below(bucket))


OPERATIONS = {
    "GET": lambda b: files.read_bytes(f"{b}/in/a.jsonl"),
    "HEAD": lambda b: files.exists(f"{b}/in/a.jsonl"),
    "GET HEAD": lambda b: listings.list_files(f"{b}/in"),
    "PUT": lambda b: files.write_bytes_atomically(f"{b}/x", b"x"),
    "DELETE": lambda b: files.remove_file(f"{b}/in/a.jsonl"),
}


@pytest.mark.parametrize("methods", OPERATIONS)
@pytest.mark.parametrize("answer", [WRONG_KEY, WRONG_SECRET, DENIED, BROKEN, BUSY])
def test_refusals_and_faults_are_told_apart_whatever_is_done(stored, server, methods, answer):
    server.answer(methods, "/", answer)
    refused = answer[0] == 403
    with pytest.raises(StoreRefused if refused else StoreFailed) as caught:
        OPERATIONS[methods](stored)
    said = str(caught.value)
    assert stored in said
    assert "\n" not in said
    assert "check the credentials" in said if refused else "run the same command again" in said
    if "HEAD" not in methods:  # which brings no text
        assert answer[1] in said


@pytest.mark.parametrize("answer", [SILENT, CUT_SHORT])
def test_store_that_falls_silent_is_a_failure_and_no_damage(stored, server, answer, monkeypatch):
    import s3fs

    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    read = TypeAdapter(Read).validate_python({"format": "jsonl", "path": f"{stored}/in"})
    plan = make_plan(read)
    server.answer("GET", "/in/a", answer)
    quick = {"s3": {"config_kwargs": {"read_timeout": 0.5, "retries": {"max_attempts": 0}}}}
    with reached_by(quick), pytest.raises(StoreFailed, match="run the same command again"):
        list(read_task(read, plan.tasks[0]))


def jsonl():
    return b'{"text": "one"}\n'


def parquet():
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": ["one"] * 9}), sink)
    return sink.getvalue()


def arrow():
    sink = io.BytesIO()
    table = pa.table({"text": ["one"] * 9})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("format", "name", "data"),
    [
        ("jsonl", "a.jsonl", jsonl()),
        ("jsonl", "a.jsonl.gz", jsonl()),
        ("csv", "a.csv", b"text\none\n"),
        ("text", "a.txt", b"one"),
        ("images", "a.png", b"none"),
        ("parquet", "a.parquet", parquet()),
        ("arrow", "a.arrow", arrow()),
    ],
)
@pytest.mark.parametrize("answer", [DENIED, BROKEN])
def test_file_that_the_store_does_not_give_is_no_damaged_file(
    stored, server, format, name, data, answer
):
    files.write_bytes_atomically(f"{stored}/of/{name}", data)
    read = TypeAdapter(Read).validate_python({"format": format, "path": f"{stored}/of"})
    plan = make_plan(read)
    server.answer("GET", f"/of/{name}", answer)
    with pytest.raises(StoreRefused if answer is DENIED else StoreFailed, match=name):
        list(read_task(read, plan.tasks[0]))


@pytest.mark.parametrize(("answer", "code"), [(WRONG_KEY, 2), (BROKEN, 1)], ids=["403", "500"])
def test_run_ends_when_the_input_is_not_given(told, server, bucket, answer, code):
    server.answer("GET", "/in/b.jsonl", answer)
    done, said = told()
    assert done == code
    assert f"{bucket}/in/b.jsonl: the object store" in said
    assert "quarantined" not in said
    assert "Traceback" not in said
    assert not files.exists(f"{bucket}/out")
    assert not files.exists(f"{bucket}/out.rejected")
    if answer is WRONG_KEY:
        server.reset()
        assert told()[0] == 0
        assert not [name for name in all_files(bucket) if name.startswith(".")]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_work_that_cannot_be_written_is_a_sentence(told, server, bucket, workers, capfd):
    server.answer("PUT POST", r"\.work(?!.*plan\.arrow)", BROKEN)
    done, said = told("--workers", workers)
    assert (done, "Traceback" in said + capfd.readouterr().err) == (1, False)
    assert "the object store failed: InternalError" in said
    assert len(said.strip().splitlines()[-1]) < 400
    assert not files.exists(f"{bucket}/out")


@pytest.mark.parametrize(("answer", "code"), [(DENIED, 2), (BUSY, 1)])
def test_bucket_that_cannot_be_asked_for_is_not_called_missing(told, server, bucket, answer, code):
    server.answer("HEAD", rf"^/{bucket[5:]}/?$", answer)
    done, said = told()
    assert done == code
    assert "no bucket" not in said
    assert "the object store" in said


def test_bucket_that_may_only_be_read_is_told_before_the_work(told, server):
    server.answer("PUT POST DELETE", "/", DENIED)
    done, said = told()
    assert done == 2
    assert "AccessDenied" in said
    assert "/in/" not in said


def test_bucket_from_which_nothing_may_be_removed_is_told_before_the_work(told, server, bucket):
    server.answer("DELETE", "/", DENIED)
    done, said = told()
    assert done == 2
    assert "the object store refuses this (AccessDenied" in said
    assert [n for n in all_files(bucket) if not n.startswith("in/")] == [".out.lock.probe"]


def test_objects_that_a_store_silently_keeps_are_told(stored, monkeypatch):
    import s3fs

    async def nothing(self, paths, **_):
        return []

    monkeypatch.setattr(s3fs.S3FileSystem, "_bulk_delete", nothing)
    with pytest.raises(StoreRefused, match="does not let 2 objects be removed"):
        files.remove_tree(f"{stored}/in")


def test_file_that_is_gone_is_gone_and_no_fault_of_the_store(stored):
    with pytest.raises(FileNotFoundError):
        files.read_bytes(f"{stored}/in/none.jsonl")
    assert not files.exists("s3://no-such-bucket-here/x")


ODD = [
    "a b.jsonl",
    "ä+ö.jsonl",
    "a#1.jsonl",
    "what?.jsonl",
    "50%25.jsonl",
    "a&b=c;d.jsonl",
    "[x].jsonl",
]


def test_keys_of_odd_names_are_read(stored):
    for name in ODD:
        files.write_bytes_atomically(f"{stored}/odd/{name}.jsonl", jsonl())
    read = TypeAdapter(Read).validate_python({"format": "jsonl", "path": f"{stored}/odd"})
    plan = make_plan(read)
    assert sorted(file.name for file in plan.files) == sorted(f"{name}.jsonl" for name in ODD)
    assert sum(len(chunk) for chunk in read_task(read, plan.tasks[0])) == len(ODD)


def test_folder_of_more_keys_than_one_answer_holds(stored, server):
    from moto.s3.models import s3_backends

    for number in range(1_005):
        backend = next(iter(s3_backends.values()))["aws"]
        backend.put_object(stored[5:], f"many/{number}.txt", b"x")
    assert len(listings.list_files(f"{stored}/many")) == 1_005
    files.remove_tree(f"{stored}/many")
    assert not files.exists(f"{stored}/many")


@pytest.fixture
def named_endpoint(server, monkeypatch):
    """A recipe whose store only its `storage` names: the environment leads nowhere."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    return RECIPE.replace("{{s3: {{", f"{{{{s3: {{{{endpoint_url: '{server.url}', ")


def test_plan_reaches_the_store_as_run_does(told, named_endpoint):
    done, said = told(first="plan", text=named_endpoint)
    assert done == 0, said
    done, said = told("--sweep", "exact_dedup.keep=longest", first="plan", text=named_endpoint)
    assert done == 0, said


def test_proof_reads_the_raw_data_as_the_run_did(bucket, named_endpoint, tmp_path):
    (tmp_path / "r.yaml").write_text(named_endpoint.format(bucket=bucket, out=tmp_path))
    recipe = load_recipe(tmp_path / "r.yaml")
    with reached_by(recipe.storage):
        bring(recipe.read, tmp_path / "raw", 0, print)
        bring(recipe.read, tmp_path / "again", 0, print)
    assert rows_of(tmp_path / "raw") == rows_of(tmp_path / "again") == 120
    assert storage_in_use() == {}


def test_proof_of_an_output_on_a_store_is_refused_before_the_run(told):
    done, said = told("--prove", text=RECIPE + "prove: {{task: text_classification, test: x}}\n")
    assert done == 2
    assert "a proof needs the output on a disk" in said


def test_explain_and_clusters_take_a_url(told, bucket, tmp_path):
    assert told()[0] == 0
    done, said = told(first="explain", last=(f"{bucket}/out", "a40"))
    assert (done, "duplicate of a0" in said) == (0, True)
    to = f"{bucket}/clusters.csv"
    done, said = told(first="clusters", last=(f"{bucket}/out/", "--to", to))
    assert (done, "40" in said) == (0, True)
    assert b"a40" in files.read_bytes(to)
    done, said = told(first="explain", last=("s3:/bucket/out", "a40"))
    assert (done, "write s3://" in said) == (2, True)
