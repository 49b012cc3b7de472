import numpy as np
import pyarrow as pa
from made_rows import PLACES, rows_of

from pipelines.ledger.entries import (
    LEDGER_SCHEMA,
    Places,
    Tally,
    dropped_records,
    fates_of,
    judged,
    records,
    survivors,
    unreadable,
)
from pipelines.readers.reader import Bad
from pipelines.rows import PARENT, SPLIT, keys
from pipelines.rows.verdicts import Verdicts
from pipelines.steps.corpus import verdict_table


def test_records_have_the_schema_whatever_is_given() -> None:
    table = records(2, "kept", key=np.array([1, 2]), value=np.array([np.nan, 2.0]), op="x")
    assert table.schema == LEDGER_SCHEMA
    assert table["value"].to_pylist() == [None, 2.0]
    assert table["op"].to_pylist() == ["x", "x"]
    assert table["error"].null_count == 2


def test_judged_rows_carry_reason_and_evidence() -> None:
    verdicts = Verdicts(
        np.array([0, 2, 1], np.int16),
        ("low", "high"),
        np.array([5.0, 9.0, 1.0]),
        np.array([np.nan, 8.0, 2.0]),
        pa.array([None, "much", "little"]),
    )
    table = judged(rows_of(["a", "b", "c"]), verdicts, 4, "measure").to_pylist()
    found = [(r["id"], r["reason"], r["value"], r["threshold"], r["detail"]) for r in table]
    assert found == [
        ("a.jsonl#1", "high", 9.0, 8.0, "much"),
        ("a.jsonl#2", "low", 1.0, 2.0, "little"),
    ]
    assert {(r["fate"], r["step"], r["op"]) for r in table} == {("dropped", 4, "measure")}


def test_decided_rows_name_what_they_duplicate() -> None:
    verdicts = verdict_table(np.array([7]), "duplicate", value=1.0, other=pa.array(["x"]))
    (record,) = dropped_records(verdicts, pa.array(["me"]), 2, "exact_dedup").to_pylist()
    assert (record["key"], record["id"], record["other"]) == (7, "me", "x")


def test_unreadable_records_are_called_by_their_place() -> None:
    key = int(keys.pack(0, [2041])[0])
    bad = Bad(key, "a.jsonl", "line 17, byte 2041", "broken")
    (record,) = unreadable([bad], PLACES).to_pylist()
    assert (record["id"], record["where"]) == ("a.jsonl#2041", "line 17, byte 2041")
    (record,) = unreadable([bad], Places({2041: "x.jpg"}, None)).to_pylist()
    assert record["id"] == "a.jsonl"


def test_places_name_file_and_position() -> None:
    key = int(keys.pack(3, [17])[0])
    lines, images = Places({3: "c.jsonl"}, "byte"), Places({17: "c/d.jpg"}, None)
    assert (lines.file(key), lines.where(key)) == ("c.jsonl", "byte 17")
    image = int(keys.pack(0, [17])[0])
    assert (images.file(image), images.where(image)) == ("c/d.jpg", "the file")
    assert lines.file(int(keys.pack(4, [0])[0])) == ""


def test_survivors_are_kept_or_derived_and_counted_apart() -> None:
    rows = rows_of(["a", "b", "c"], **{SPLIT: ["train", "train", "test"]})
    derived = pa.array(rows.keys + np.array([0, 1, 0]))
    rows = rows.replace("_key", derived).replace(PARENT, pa.array([None, "p", None]))
    kept, made = survivors(rows)
    assert kept["fate"].to_pylist() == ["kept", "kept"]
    assert kept["split"].to_pylist() == ["train", "test"]
    assert made.select(["fate", "other", "split"]).to_pylist() == [
        {"fate": "derived", "other": "p", "split": "train"}
    ]
    lost = records(1, "quarantined", key=np.array([2]), id="x~2")
    gone = records(2, "dropped", key=np.array([128, 256]), id="y")
    assert fates_of(pa.concat_tables([kept, made, lost, gone])) == {
        "kept": 2,
        "derived": 1,
        "dropped": 2,
        "quarantined": 0,
        "lost": 1,
    }


def test_rows_of_a_recipe_without_split_are_training_rows() -> None:
    (kept,) = survivors(rows_of(["a"]))
    assert kept["split"].to_pylist() == ["train"]


def test_tallies_add_up() -> None:
    one = Tally(1, "x", entered=3, kept=2, dropped=1, reasons={"low": 1}, seconds=0.5)
    one.add(Tally(1, "x", entered=2, quarantined=2, reasons={"low": 1, "raised": 1}, seconds=1))
    assert (one.entered, one.kept, one.dropped, one.quarantined) == (5, 2, 1, 2)
    assert one.reasons == {"low": 2, "raised": 1}
    assert one.seconds == 1.5
