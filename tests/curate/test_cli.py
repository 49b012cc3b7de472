import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from click.testing import CliRunner
from made_ledger import ROWS, write_ledger
from made_run import make_manifest
from rich.console import Console

from curate.cli import main
from curate.errors import RunFailed, TooManyQuarantined
from curate.run.run_text import print_run
from pipelines.errors import UserError
from pipelines.ledger.counts import StepCounts
from pipelines.steps import STEPS
from training.errors import UserError as ProofUserError

RECIPE = """\
name: web
read: {format: jsonl, path: data.jsonl}
write: {path: out}
"""
PROVE = "prove: {task: text_classification, test: t.jsonl}\n"
HEAVY = ("apache_beam", "torch", "datasets", "pyarrow", "numpy", "pydantic", "rich", "ruamel")


def counted(step, op, entered, reasons=None, quarantined=0, derived=0):
    dropped = sum((reasons or {}).values())
    return StepCounts(
        step=step,
        op=op,
        entered=entered,
        kept=entered - dropped - quarantined,
        dropped=dropped,
        quarantined=quarantined,
        derived=derived,
        reasons={**(reasons or {}), **({"unreadable": quarantined} if quarantined else {})},
        seconds=1.3,
    )


MANIFEST = make_manifest(
    rows={"in": 1000, "kept": 880, "dropped": 117, "quarantined": 3, "derived": 880},
    steps=[
        counted(0, "read", 1000, quarantined=3),
        counted(1, "word_count", 997, {"too_short": 12, "too_long": 5}),
        counted(2, "near_dedup", 980, {"duplicate": 100}),
        counted(3, "synonyms", 880, derived=880),
    ],
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text(RECIPE)
    return tmp_path


@pytest.fixture
def calls(monkeypatch):
    """Put recorders in the place of what the commands call."""
    made = []

    def stand_in(module: str, **functions):
        fake = ModuleType(module)
        for name, answer in functions.items():

            def called(*args, _name=name, _answer=answer, **named):
                made.append((_name, args, named))
                if isinstance(_answer, BaseException):
                    raise _answer
                return _answer

            setattr(fake, name, called)
        monkeypatch.setitem(sys.modules, module, fake)

    result = SimpleNamespace(out=Path("out"), manifest=MANIFEST, report=Path("out/report.html"))
    proof = SimpleNamespace(supported=True, verdict="curation helped", result=None, place=None)
    made_of = SimpleNamespace(made=made, stand_in=stand_in, proof=proof, result=result)
    stand_in("curate.run.run", run_recipe=result)
    stand_in("curate.prove.prove", prove_recipe=proof, prove_directories=proof)
    stand_in("curate.prove.prove_text", print_result=None)
    stand_in("curate.samples.samples", write_samples=[Path("samples/web.jsonl")])
    return made_of


def call(*args):
    return CliRunner().invoke(main, args)


@pytest.mark.parametrize("command", [[], *([name] for name in main.commands)])
def test_help_fits_80_columns(command):
    result = call(*command, "--help")
    assert result.exit_code == 0
    assert "..." not in result.output.partition("Commands:")[2]
    assert max(map(len, result.output.splitlines())) <= 80


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom curate.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = run_python(code)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", ["validate r.yaml", "ops", "schema"])
def test_commands_without_data_import_no_engine(here, command):
    code = (
        "import sys\nfrom curate.cli import main\n"
        f"main({command.split()!r}, standalone_mode=False)\n"
        "print([m for m in ('apache_beam', 'torch', 'datasets', 'sklearn') if m in sys.modules])"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def run_python(code, *args):
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )


def test_run_prints_the_table_and_the_sum(here, calls):
    result = call("run", "r.yaml")
    assert result.exit_code == 0, result.output
    assert "1,000 rows in = 880 kept + 117 dropped + 3 quarantined" in result.output
    assert "report  out/report.html" in result.output
    ((name, (recipe,), named),) = calls.made
    assert (name, recipe.name) == ("run_recipe", "web")
    assert named.pop("progress")
    assert named.pop("say")
    assert named == {
        "runner": None,
        "workers": None,
        "limit": None,
        "overwrite": False,
        "cache": None,
        "runner_options": (),
    }


def test_run_hands_its_options_on(here, calls):
    line = "run r.yaml --runner dask --workers 3 --limit 9 --overwrite --out there --set seed=4"
    result = call(*line.split(), "--", "--project=p", "--region", "r")
    assert result.exit_code == 0, result.output
    _, (recipe,), named = calls.made[0]
    assert (recipe.write.path, recipe.seed) == ("there", 4)
    assert (named["runner"], named["workers"], named["limit"]) == ("dask", 3, 9)
    assert named["overwrite"] is True
    assert named["runner_options"] == ("--project=p", "--region", "r")


def test_run_proves_when_asked(here, calls):
    Path("r.yaml").write_text(RECIPE + PROVE)
    assert [name for name, *_ in calls.made if call("run", "r.yaml")] == []
    calls.made.clear()
    result = call("run", "r.yaml", "--prove")
    assert [name for name, *_ in calls.made] == ["run_recipe", "prove_recipe", "print_result"]
    assert "curation helped" in result.output


def test_run_with_prove_needs_the_section_before_it_starts(here, calls):
    result = call("run", "r.yaml", "--prove")
    assert (result.exit_code, calls.made) == (2, [])
    assert result.stderr == "r.yaml: --prove needs a `prove:` section in the recipe\n"


def test_run_refuses_a_second_recipe(here, calls):
    result = call("run", "r.yaml", "other.yaml")
    assert (result.exit_code, calls.made) == (2, [])
    assert "unexpected argument 'other.yaml': one recipe per run" in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (TooManyQuarantined(30, 100, 0.1, ["a: 1: b"]), 1, "too many rows quarantined: 30 of 100"),
        (RunFailed("rows in ≠ kept"), 1, "rows in ≠ kept\n"),
        (KeyboardInterrupt(), 130, "interrupted; the same command takes it up again\n"),
        (FileNotFoundError(2, "No such file or directory", "x"), 2, "x: No such file"),
        (FileExistsError("out is there: --overwrite"), 2, "out is there: --overwrite\n"),
        (PermissionError(13, "Permission denied", "out"), 2, "out: Permission denied\n"),
        (OSError(36, "File name too long", "oo"), 2, "oo: File name too long\n"),
        (
            UnicodeEncodeError("utf-8", "d\udcff", 1, 2, "x"),
            2,
            "the name of a file or",
        ),
    ],
)
def test_run_tells_expected_errors_without_a_traceback(here, calls, error, code, said):
    calls.stand_in("curate.run.run", run_recipe=error)
    result = call("run", "r.yaml")
    assert result.exit_code == code
    assert result.stderr.startswith(said)
    assert "Traceback" not in result.output


def test_run_shows_tracebacks_on_request(here, calls):
    calls.stand_in("curate.run.run", run_recipe=RunFailed("broken"))
    assert "Traceback" in call("--traceback", "run", "r.yaml").stderr


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), ValueError("a library slipped")])
def test_run_lets_unexpected_errors_through(here, calls, error):
    calls.stand_in("curate.run.run", run_recipe=error)
    assert call("run", "r.yaml").exception is error


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_signal_ends_a_command_whatever_a_runner_makes_of_it(
    here, calls, monkeypatch, number, code, said
):
    def wrapping(*_, **__):
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        except KeyboardInterrupt as error:
            raise RuntimeError("KeyboardInterrupt [while running 'segment 2: solve']") from error

    monkeypatch.setattr(sys.modules["curate.run.run"], "run_recipe", wrapping)
    before = signal.getsignal(number)
    result = call("run", "r.yaml")
    assert result.exit_code == code
    assert result.stderr.splitlines()[-1] == f"{said}; the same command takes it up again"
    assert "Traceback" not in result.stderr
    assert signal.getsignal(number) == before


def test_runner_that_is_none_is_named(here):
    Path("data.jsonl").write_text('{"text": "a"}\n')
    for name in ("NoSuchRunner", "no.such.Runner"):
        result = call("run", "r.yaml", "--runner", name)
        assert result.exit_code == 2
        assert f"runner '{name}': " in result.stderr
        assert "allowed: local, dask, flink" in result.stderr


def test_unexpected_error_shows_its_traceback(here):
    code = (
        "import sys\nfrom types import ModuleType\nfake = ModuleType('curate.run.run')\n"
        "fake.run_recipe = lambda *a, **k: 1 / 0\nsys.modules['curate.run.run'] = fake\n"
        "from curate.cli import main\nmain(['run', 'r.yaml'])"
    )
    done = run_python(code)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


def test_what_the_user_must_mend_is_a_user_error():
    from curate.recipe.recipe import parse_size

    with pytest.raises(UserError, match="not a size"):
        parse_size("many")


@pytest.mark.parametrize("error", [UserError("mend this"), ProofUserError("mend that")])
def test_run_prints_what_the_user_must_mend(here, calls, error):
    calls.stand_in("curate.run.run", run_recipe=error)
    result = call("run", "r.yaml")
    assert (result.exit_code, result.stderr) == (2, f"{error}\n")


def test_validate_reports_each_recipe_and_all_errors(here):
    Path("bad.yaml").write_text("sead: 1\n")
    result = call("validate", "r.yaml", "bad.yaml", "gone.yaml")
    assert result.exit_code == 2
    assert result.stdout == "r.yaml: ok (web, 0 steps)\n"
    lines = result.stderr.splitlines()
    assert [line.partition(";")[0] for line in lines] == [
        "bad.yaml:1: name: missing",
        "bad.yaml:1: read: missing",
        "bad.yaml:1: write: missing",
        "bad.yaml:1: sead: a recipe has no 'sead'",
        "gone.yaml: no such file",
    ]
    assert call("validate", "r.yaml").exit_code == 0
    assert call("validate", "r.yaml", "--set", "seed=x").stderr == (
        "--set seed: must be a whole number (got 'x')\n"
    )


def test_ops_lists_every_operator_once():
    result = call("ops")
    assert result.exit_code == 0
    listed = [line.split()[0] for line in result.output.splitlines() if line.startswith("  ")]
    assert set(STEPS) <= set(listed)
    assert max(map(len, result.output.splitlines())) <= 80


@pytest.mark.parametrize("op", list(STEPS))
def test_ops_shows_every_documented_option(op):
    result = call("ops", op)
    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= 80
    told = " ".join(result.output.split())
    docs = STEPS[op].field_docs()
    for name in STEPS[op].model_fields:
        if name != "op":
            assert f" {name}: " in told
            assert docs[name], f"{op}.{name} has no docstring"


def test_ops_refuses_an_unknown_name():
    result = call("ops", "no_such_op_at_all")
    assert result.exit_code == 2
    assert result.stderr.startswith("no operator 'no_such_op_at_all'")


def test_ops_writes_the_reference():
    result = call("ops", "--markdown")
    assert result.output.count("### `") == len(STEPS)


def test_schema_is_json():
    assert json.loads(call("schema").output)["title"] == "curate recipe"


def test_explain_prints_words_or_json(tmp_path):
    out = str(write_ledger(tmp_path, ROWS))
    assert call("explain", out, "d02").output == (
        "d02: dropped at step 1 word_count: too_short (3 < 20)\n"
    )
    assert json.loads(call("explain", out, "d02", "--json").output)["entries"][0]["step"] == 1
    unknown = call("explain", out, "d99")
    assert unknown.exit_code == 2
    assert "no row has the id 'd99'" in unknown.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("prove --raw a", "give a RECIPE, or also --curated"),
        ("prove r.yaml", "r.yaml: no `prove:` section"),
        ("prove r.yaml --raw a", "--raw goes without a RECIPE"),
        ("prove r.yaml --seeds 2", "2 is not in the range x>=3"),
        ("run", "Missing argument 'RECIPE'"),
        ("run r.yaml --worker 2", "No such option"),
        ("nope", "No such command 'nope'"),
        ("run r\0.yaml", "'r\\x00.yaml': no file can have such a name"),
        ("run r.yaml --out o\0x", "--set write.path: a path cannot hold the character U+0000"),
        ("run r.yaml --out o\x1bx", "--set write.path: a path cannot hold the character U+001B"),
        ("run r.yaml --out o\udcffx", "--set write.path: half a surrogate pair (U+DCFF)"),
        (f"run r.yaml --out {'o' * 256}", "--set write.path: a name in a path has at most 255"),
    ],
)
def test_usage_errors_exit_with_2(here, calls, line, said):
    result = call(*line.split())
    assert (result.exit_code, calls.made) == (2, [])
    assert said in result.stderr


def test_samples_lists_what_it_wrote(calls):
    assert call("samples", "samples").output == "samples/web.jsonl\n"


def test_run_table_fits_80_columns_at_a_hundred_million_rows(capsys):
    big = make_manifest(
        rows={"in": 123_456_789, "kept": 1, "dropped": 123_456_700, "quarantined": 88},
        steps=[
            counted(
                12,
                "image_near_dedup",
                123_456_789,
                {f"some_reason_{n}": 12_345_678 for n in range(6)},
                quarantined=123_456,
            )
        ],
    )
    console = Console(width=80, force_terminal=False)
    print_run(big, console)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for whole in (
        "123,456,789",
        "12,345,678",
        "some_reason_3",
        "24,691,356 for 2",
        "123,456 quarantined",
    ):
        assert whole in text


def test_run_table_is_golden(capsys):
    print_run(MANIFEST, Console(width=80, force_terminal=False))
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == GOLDEN.splitlines()


GOLDEN = """\
step  op             in  kept  derived  dropped or quarantined  seconds
   0  read        1,000   997           3 quarantined               1.3
   1  word_count    997   980           12 too_short                1.3
                                        5 too_long
   2  near_dedup    980   880           100 duplicate               1.3
   3  synonyms      880   880      880                              1.3
1,000 rows in = 880 kept + 117 dropped + 3 quarantined
880 rows derived from kept ones
"""


def test_address_where_nobody_answers_is_told_at_once(here):
    Path("data.jsonl").write_text('{"text": "a"}\n')
    with socket.socket() as taken:  # bound and not listening: refuses
        taken.bind(("localhost", 0))
        address = f"localhost:{taken.getsockname()[1]}"
        for runner, option in (
            ("PortableRunner", f"--job_endpoint={address}"),
            ("flink", f"--flink_master={address}"),
            ("spark", f"--spark_master_url=spark://{address}"),
            ("dask", f"--dask_client_address=tcp://{address}"),
        ):
            result = call("run", "r.yaml", "--runner", runner, "--", option)
            assert result.exit_code == 1
            said = f"{option.partition('=')[0]}={address}: Connection refused; start the service"
            assert said in result.stderr


@pytest.mark.parametrize(
    ("runner", "said"),
    [
        ("PortableRunner", "PortableRunner needs the address of a job service"),
        ("dataflow", "the runner's options: Missing GCS path option: temp_location"),
    ],
)
def test_runner_without_its_options_says_which(here, runner, said):
    Path("data.jsonl").write_text('{"text": "a"}\n')
    result = call("run", "r.yaml", "--runner", runner)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.output
