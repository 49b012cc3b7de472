"""Every row is accounted for, whatever rows come and wherever batches are cut."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_memory import Drop, Outcome, Poison, run_job

from pipelines.ledger.balance import Unbalanced
from pipelines.output.summary import balanced
from pipelines.readers.formats.jsonl import Jsonl
from pipelines.steps import STEPS

TEXTS = ["poison", "drop this", "one two three", "four five six", "seven", "", None, b"{broken"]
OTHERS = [1, 2.5, "s", None, True, [1], [], ["a", None], {"a": 1}, {"b": {"c": "x"}}]

ROWS = st.lists(
    st.tuples(
        st.sampled_from(TEXTS), st.dictionaries(st.sampled_from("xy"), st.sampled_from(OTHERS))
    ),
    max_size=25,
)


def steps_of(augments: bool) -> list[Any]:
    made: list[Any] = [Poison(), Drop(), STEPS["exact_dedup"](), STEPS["split"]()]
    copies = {"method": "swap_words", "copies": 2}
    return [*made, *([STEPS["augment_text"](**copies), STEPS["embed"]()] if augments else [])]


def write_lines(path: Path, rows: list[tuple[Any, dict[str, Any]]]) -> None:
    raw = [
        text if isinstance(text, bytes) else json.dumps({"text": text, **others}).encode()
        for text, others in rows
    ]
    path.write_bytes(b"".join(line + b"\n" for line in raw))


@settings(max_examples=40)
@given(st.lists(ROWS, min_size=1, max_size=3), st.integers(20, 400), st.booleans())
def test_every_row_has_one_fate_and_cuts_do_not_matter(
    corpus: list[Any], target: int, augments: bool
) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / "in").mkdir()
        for i, rows in enumerate(corpus):
            write_lines(Path(folder) / "in" / f"{i}.jsonl", rows)
        outcomes = []
        for name, target_bytes in (("one", 1 << 26), ("many", target)):
            (Path(folder) / name).mkdir()
            read = Jsonl(path=f"{folder}/in")
            outcomes.append(
                run_job(
                    Path(folder) / name,
                    read,
                    steps_of(augments),
                    target_bytes=target_bytes,
                    shard_bytes=400,
                )
            )
        one, many = outcomes
        assert one.digests == many.digests
        check_conservation(one, corpus)


def check_conservation(outcome: Outcome, corpus: list[Any]) -> None:
    """Count what went in by hand and hold the figures, the ledger and the files against it."""
    rows, steps = outcome.balance()
    texts = Counter(text for part in corpus for text, _ in part)
    assert rows.entered == texts.total()
    assert rows.quarantined == texts["poison"] + texts[None] + texts[b"{broken"]
    repeats = sum(max(0, texts[t] - 1) for t in ("one two three", "four five six", "seven", ""))
    assert rows.dropped == texts["drop this"] + repeats
    assert rows.entered == rows.kept + rows.dropped + rows.quarantined
    for step in steps:
        assert step.entered == step.kept + step.dropped + step.quarantined

    ledger = outcome.ledger()
    fates = Counter(record["fate"] for record in ledger)
    assert {fate: getattr(rows, fate) for fate in fates} == fates
    keys = [record["key"] for record in ledger]
    assert keys == sorted(set(keys))
    stored = {
        (row["_id"], split)
        for split in {r["split"] for r in ledger if r["split"]}
        for row in outcome.rows(split).to_pylist()
    }
    assert stored == {(r["id"], r["split"]) for r in ledger if r["fate"] in ("kept", "derived")}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("balance")
    write_lines(folder / "in.jsonl", [(text, {}) for text in TEXTS * 2])
    (folder / "work").mkdir()
    return run_job(folder / "work", Jsonl(path=str(folder / "in.jsonl")), steps_of(True))


def _tampered(outcome: Outcome, where: str, step: int, name: str) -> None:
    summary, written = outcome.summary, list(outcome.written)
    if where == "tallies":
        tallies = list(summary.tallies)
        more = getattr(tallies[step], name) + 1
        tallies[step] = replace(tallies[step], **{name: more})
        summary = replace(summary, tallies=tuple(tallies))
    elif where == "fates":
        fates = written[0].fates or {}
        written[0] = written[0].model_copy(update={"fates": {**fates, name: fates[name] + 1}})
    else:
        written[step] = written[step].model_copy(update={"rows": written[step].rows + 1})
    balanced(summary, written, [step.op for step in outcome.steps_run])


@pytest.mark.parametrize(
    ("where", "step", "name"),
    [
        *(("tallies", step, name) for step in (0, 1, 5) for name in ("entered", "kept", "derived")),
        ("tallies", 2, "dropped"),
        ("tallies", 1, "quarantined"),
        *(("fates", 0, name) for name in ("kept", "dropped", "quarantined", "derived", "lost")),
        ("rows", 1, "rows"),
    ],
)
def test_balance_refuses_figures_that_are_off_by_one(
    outcome: Outcome, where: str, step: int, name: str
) -> None:
    outcome.balance()
    with pytest.raises(Unbalanced):
        _tampered(outcome, where, step, name)


def test_balance_of_a_run_without_rows_is_zero(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"")
    (tmp_path / "work").mkdir()
    outcome = run_job(tmp_path / "work", Jsonl(path=str(tmp_path / "in.jsonl")), steps_of(True))
    rows, _ = outcome.balance()
    assert set(rows.as_json().values()) == {0}
    assert [one.rows for one in outcome.written] == [0]
    assert outcome.ledger() == []


def test_a_row_entered_twice_in_the_ledger_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.engine import segment_run

    once = segment_run.survivors
    monkeypatch.setattr(segment_run, "survivors", lambda rows: [*once(rows), *once(rows)])
    write_lines(tmp_path / "in.jsonl", [("one", {}), ("two", {})])
    (tmp_path / "work").mkdir()
    with pytest.raises(RuntimeError, match=r"two records of row in\.jsonl#0"):
        run_job(tmp_path / "work", Jsonl(path=str(tmp_path / "in.jsonl")))


def test_a_verdict_on_a_row_that_is_not_there_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.steps.dedup import exact_dedup

    made = exact_dedup.send_home

    def elsewhere(verdicts: pa.Table, homes: Any) -> Any:
        keys = pa.array(verdicts["_key"].to_numpy() + 5)
        return made(verdicts.set_column(0, "_key", keys), homes)

    monkeypatch.setattr(exact_dedup, "send_home", elsewhere)
    write_lines(tmp_path / "in.jsonl", [("one", {}), ("one", {})])
    (tmp_path / "work").mkdir()
    with pytest.raises(RuntimeError, match="verdicts on 1 rows; 0 of them are there"):
        run_job(tmp_path / "work", Jsonl(path=str(tmp_path / "in.jsonl")), [STEPS["exact_dedup"]()])
