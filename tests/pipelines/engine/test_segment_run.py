from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, Literal

import pyarrow as pa
import pytest
from made_rows import PLACES, rows_of

from pipelines.engine.segment_run import SegmentRun, differing
from pipelines.engine.segments import Segment, named_columns, segments_of
from pipelines.exchange.mail import Message, Round
from pipelines.exchange.shards import load_state, open_rows, read_ledger, read_schema
from pipelines.ledger.books import Books
from pipelines.readers.reader import Bad, Chunk
from pipelines.rows import ID, KEY, Columns, Rows
from pipelines.rows.chance import Chance
from pipelines.steps import STEPS
from pipelines.steps.corpus import VERDICT_SCHEMA, Corpus, Site, verdict_table
from pipelines.steps.step import Step

EXACT, WORDS = STEPS["exact_dedup"](), STEPS["word_count"](at_least=2)
NORMALIZE = STEPS["normalize_text"]()


def test_recipes_are_cut_at_corpus_steps() -> None:
    parts = segments_of((NORMALIZE, EXACT, WORDS, EXACT, EXACT, NORMALIZE))
    assert [[n for n, _ in part.row_steps] for part in parts] == [[1], [3], [], [6]]
    assert [part.corpus and part.corpus[0] for part in parts] == [2, 4, 5, None]
    assert [part.follows and part.follows[0] for part in parts] == [None, 2, 4, 5]
    assert [part.rewrites for part in parts] == [True, False, False, True]
    (only,) = segments_of(())
    assert (only.corpus, only.follows, only.rewrites) == (None, None, True)


def test_segments_that_do_the_same_have_one_name() -> None:
    def names(*steps: Step, seed: int = 0) -> list[str]:
        return [segment.name for segment in segments_of(steps, seed)]

    near, nearer, other = Redact(), Redact(boldness=0.5), Redact(shade="grey")
    first, second, last = names(NORMALIZE, EXACT, near)
    assert names(NORMALIZE, EXACT, nearer)[:2] == [first, second]
    assert names(NORMALIZE, EXACT, nearer)[2] != last
    assert names(NORMALIZE, EXACT, other)[0] == first
    assert names(NORMALIZE, EXACT, other)[1] != second
    assert names(EXACT, near)[0] != first
    assert names(NORMALIZE, EXACT, near, seed=1)[0] != first


class Redact(Corpus):
    """Writes over the texts of the rows it has edits for."""

    op: Literal["redact"] = "redact"
    edits: ClassVar[bool] = True
    after_sign: ClassVar[tuple[str, ...]] = ("boldness",)
    boldness: float = 1.0
    shade: str = "black"

    def adds(self) -> tuple[str, ...]:
        return ("_cut",)

    def sign(self, rows: Rows, chance: Chance) -> pa.Table:
        return pa.table({KEY: rows.keys})

    def send(self, signed: pa.Table, number: int, shards: int) -> Iterable[Message]:
        raise NotImplementedError("segments are run apart here")

    def rounds(self, site: Site) -> tuple[Round, ...]:
        raise NotImplementedError("segments are run apart here")

    def edit(self, rows: Rows, edits: pa.Table, chance: Chance) -> Rows:
        if "poison" in rows.text.to_pylist():
            raise ValueError("cannot edit this")
        return rows.replace("text", edits["text"].combine_chunks()).replace(
            "_cut", pa.array([1] * len(rows))
        )


def test_edits_change_the_rows_they_are_about(tmp_path: Path) -> None:
    first, second = segments_of((Redact(), NORMALIZE))
    rows = rows_of(["a", "b", "poison", "d"])
    run_of(tmp_path, first, "a").start(chunks(rows, rows_of(["e"], 9)), present)
    edits = pa.table({KEY: rows.keys[[2, 1]], "text": ["x", "B"]})
    run = run_of(tmp_path, second)
    state = run.resume(verdict_table(rows.keys[:1], "gone"), edits)
    left = pa.concat_tables(
        [r.table for r in open_rows(str(tmp_path), 3, second.name)], promote_options="permissive"
    )
    assert left.select(["text", "_cut"]).to_pydict() == {
        "text": ["B", "d", "e"],
        "_cut": [1, None, None],
    }
    (tally,) = [t for t in state.tallies if t.step == 1]
    assert (tally.kept, tally.dropped, tally.quarantined, tally.edited) == (3, 1, 1, 1)
    assert "_cut" in state.changed


def present(names: list[str]) -> Columns:
    return Columns(
        text="text" if "text" in names else None, label="label" if "label" in names else None
    )


def chunks(*batches: Rows, bad: list[Bad] | None = None) -> Iterator[Chunk]:
    yield from (Chunk(rows.table, bad or []) for rows in batches)


def run_of(work: Path, segment: Segment, attempt: str = "a") -> SegmentRun:
    return SegmentRun(str(work), 3, segment, 0, Books(PLACES), attempt=attempt)


def test_segment_writes_rows_records_and_figures(tmp_path: Path) -> None:
    first, second = segments_of((NORMALIZE, EXACT, WORDS))
    bad = [Bad(int(rows_of([None], 90).keys[0]), "a.jsonl", "line 9", "broken")]
    run = run_of(tmp_path, first)
    state = run.start(chunks(rows_of([" a  b ", "a b"]), rows_of(["c"], 5), bad=bad), present)
    assert state.rows == 3
    assert state.records == 2
    assert pa.concat_tables(run.signed)[KEY].to_pylist() == [0, 128, 640]
    assert [rows.text.to_pylist() for rows in open_rows(str(tmp_path), 3, first.name)] == [
        ["a b", "a b"],
        ["c"],
    ]

    verdicts = verdict_table(rows_of(["x"], 1).keys, "duplicate")
    later = run_of(tmp_path, second)
    state = later.resume(verdicts)
    assert [rows.ids.to_pylist() for rows in open_rows(str(tmp_path), 3, second.name)] == [
        ["a.jsonl#0"]
    ]
    assert state.alive is not None
    assert state.parts == load_state(str(tmp_path), 3, first.name).parts
    tallies = {t.step: (t.entered, t.kept, t.dropped) for t in state.tallies}
    assert tallies == {2: (0, 2, 1), 3: (2, 1, 1)}
    ledger = read_ledger(state.ledger).to_pylist()
    assert len(ledger) == state.records == 5
    fates = [(r["id"], r["fate"], r["reason"]) for r in ledger if r["fate"] != "quarantined"]
    assert fates == [
        ("a.jsonl#0", "kept", None),
        ("a.jsonl#1", "dropped", "duplicate"),
        ("a.jsonl#5", "dropped", "too_short"),
    ]


def test_verdict_on_an_unknown_row_is_refused(tmp_path: Path) -> None:
    first, second = segments_of((EXACT,))
    run_of(tmp_path, first).start(chunks(rows_of(["a"])), present)
    with pytest.raises(RuntimeError, match="verdicts on 1 rows; 0 of them are there"):
        run_of(tmp_path, second).resume(verdict_table(rows_of(["x"], 8).keys, "duplicate"))


def test_roles_are_those_of_all_batches(tmp_path: Path) -> None:
    (only,) = segments_of(())
    for attempt, order in (("a", (0, 1)), ("b", (1, 0))):
        batches = rows_of(["a"], 0, label=["x"]), rows_of(["b"], 1)
        run = run_of(tmp_path, only, attempt)
        state = run.start(chunks(*(batches[i] for i in order)), present)
        assert state.columns == Columns(text="text", label="label")
        schemas = [read_schema(text).names for text in state.schemas]
        assert sorted(schemas) == [["text", KEY, ID], ["text", "label", KEY, ID]]


def test_types_of_rows_that_are_dropped_still_count(tmp_path: Path) -> None:
    (only,) = segments_of((WORDS,))
    state = run_of(tmp_path, only).start(chunks(rows_of(["a"], x=["s"])), present)
    assert state.rows == 0
    assert state.parts == []
    assert "x" in read_schema(state.schemas[0]).names


def test_columns_that_steps_change_are_noted(tmp_path: Path) -> None:
    (only,) = segments_of((STEPS["embed"](dimensions=16), STEPS["split"]()))
    state = run_of(tmp_path, only).start(chunks(rows_of(["a"])), present)
    assert state.changed == ["_embedding", "_split"]
    one, other = pa.schema([("a", pa.int64()), ("b", pa.int8())]), pa.schema([("b", pa.int64())])
    assert differing(one, other) == {"a", "b"}
    assert differing(one, one) == set()


def test_attempts_share_no_file(tmp_path: Path) -> None:
    (only,) = segments_of(())
    for attempt in "ab":
        run_of(tmp_path, only, attempt).start(chunks(rows_of(["a"])), present)
    names = {path.name for path in (tmp_path / "shards/000000003").iterdir()}
    kinds = ("rows-0", "ledger", "sizes")
    assert names == {
        f"{only.name}.json",
        *(f"{only.name}-{a}-{kind}.arrow" for a in "ab" for kind in kinds),
    }


def test_segment_cut_off_between_files_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (only,) = segments_of(())
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.engine.segment_run.save_state", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_of(tmp_path, only).start(chunks(rows_of(["a"])), present)
    assert load_state(str(tmp_path), 3, only.name) is None
    run_of(tmp_path, only, "b").start(chunks(rows_of(["a"])), present)
    assert len(list(open_rows(str(tmp_path), 3, only.name))) == 1


def test_empty_verdicts_keep_all_rows(tmp_path: Path) -> None:
    first, second = segments_of((EXACT,))
    run_of(tmp_path, first).start(chunks(rows_of(["a"])), present)
    state = run_of(tmp_path, second).resume(VERDICT_SCHEMA.empty_table())
    assert state.rows == 1


def test_named_columns_are_those_the_input_must_have() -> None:
    steps = (
        STEPS["exact_dedup"](columns=("url", "title"), prefer="score"),
        STEPS["embed"](),
        STEPS["semantic_dedup"](),
        STEPS["sample"](rows=1, by="label"),
        STEPS["split"](group="author"),
    )
    assert named_columns(steps) == ("url", "title", "score", "label", "author")
    assert named_columns(steps[2:3]) == ("_embedding",)


def test_batch_without_a_named_column_has_nulls_in_it(tmp_path: Path) -> None:
    (only,) = segments_of((STEPS["split"](group="author"),))
    batches = rows_of(["a"], author=["me"]), rows_of(["b"], 1)
    state = run_of(tmp_path, only).start(chunks(*batches), present)
    assert state.missing == []
    assert state.rows == 2
    state = run_of(tmp_path, only, "b").start(chunks(rows_of(["b"])), present)
    assert state.missing == ["author"]
