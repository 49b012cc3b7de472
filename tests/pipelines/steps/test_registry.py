"""What is refused when steps are registered: a class without its methods or its name."""

import os
import subprocess
import sys
from typing import ClassVar, Literal

import pytest

from pipelines.errors import UserError
from pipelines.options import registered
from pipelines.rows import Rows
from pipelines.rows.chance import Chance
from pipelines.steps import BUILT_IN, STEPS
from pipelines.steps.corpus import Corpus
from pipelines.steps.dedup.pairs import PairDedup
from pipelines.steps.select.selection import Selection
from pipelines.steps.step import Derive, Filter, Map, Step


class Misnamed(Map):
    op: Literal["misnamed"] = "misnamed"

    def aply(self, rows: Rows, chance: Chance) -> Rows:
        return rows


class Mute(Filter):
    op: Literal["mute"] = "mute"


class Barren(Derive):
    op: Literal["barren"] = "barren"
    copies: int = 1

    def derived(self, rows: Rows) -> Rows:
        return rows


class Hollow(Corpus):
    op: Literal["hollow"] = "hollow"


class Whole(Corpus):
    op: Literal["whole"] = "whole"

    def sign(self, rows, chance):
        return rows.table

    def send(self, signed, number, shards):
        return ()

    def rounds(self, site):
        return ()


class Editor(Whole):
    op: Literal["editor"] = "editor"
    edits: ClassVar[bool] = True

    def edits_of(self, rows):
        return rows


class Storing(Whole):
    op: Literal["storing"] = "storing"
    stores: ClassVar[bool] = True


class Rankless(Selection):
    op: Literal["rankless"] = "rankless"


class Coarse(PairDedup):
    op: Literal["coarse"] = "coarse"
    refines: ClassVar[bool] = True
    signature = bands = evidence = similarities = stored = lambda self: None


class Nameless(Map):
    def apply(self, rows: Rows, chance: Chance) -> Rows:
        return rows


def told_of(*steps) -> str:
    with pytest.raises(UserError) as refused:
        registered(Step, "op", steps, "curate.test")
    return str(refused.value)


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (
            Misnamed,
            "Misnamed has no method `apply(self, rows: Rows, chance: Chance) -> Rows`",
        ),
        (Misnamed, "; did you mean 'aply'?"),
        (Mute, "Mute has no method `judge(self, rows: Rows, chance: Chance) -> Verdicts`"),
        (Barren, "did you mean 'derived'?"),
        (Hollow, "Hollow has no method `rounds("),
        (Editor, "Editor has no method `edit("),
        (Storing, "Storing has no method `stored("),
        (Rankless, "Rankless has no method `ranked("),
        (Coarse, "Coarse has no method `fine_bands("),
        (Nameless, 'Nameless has no name; write op: Literal["…"] = "…" in it'),
    ],
)
def test_step_without_what_its_kind_wants_is_refused(step, says):
    assert says in told_of(step)


def test_name_is_taken_once_and_by_steps_alone():
    assert "the op 'whole' is taken" in told_of(Whole, Whole)
    assert "is no Step" in told_of(dict)


def test_bases_between_may_leave_methods_open():
    assert registered(Step, "op", (Whole,), "curate.test") == {"whole": Whole}
    assert registered(Step, "op", BUILT_IN, "curate.test").keys() <= STEPS.keys()
    assert PairDedup.__abstractmethods__ >= {"signature", "bands"}


def test_bad_step_of_another_package_is_one_sentence_and_exit_code_2(tmp_path):
    (tmp_path / "shouting.py").write_text(
        "from typing import Literal\nfrom pipelines.steps.step import Filter\n\n\n"
        "class Shouting(Filter):\n    op: Literal['shouting'] = 'shouting'\n\n"
        "    def judges(self, rows, chance):\n        return None\n"
    )
    about = tmp_path / "shouting-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[curate.steps]\nshouting = shouting:Shouting\n")
    (tmp_path / "some.yaml").write_text("name: some\nread: {path: x.jsonl}\n")
    calls = (["ops"], ["validate", "some.yaml"], ["run", "some.yaml"])
    script = (
        "from curate.cli import main\n"
        f"for call in {calls!r}:\n"
        "    try:\n        main(call)\n"
        "    except SystemExit as end:\n        print(end.code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["2"] * len(calls), done.stderr
    sentence = (
        "entry point shouting of curate.steps: Shouting has no method "
        "`judge(self, rows: Rows, chance: Chance) -> Verdicts`; did you mean 'judges'?"
    )
    assert done.stderr.splitlines() == [sentence] * len(calls)
