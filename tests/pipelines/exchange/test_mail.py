"""The columnar shuffle: messages, scattering, rounds."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.exchange.mail import (
    HERE,
    NOTE,
    PLAN,
    Round,
    home,
    home_number,
    message,
    message_kind,
    note,
    open_mail,
    run_rounds,
    scatter,
)


@given(st.integers(0, 1 << 40))
def test_home_address_names_its_shard(number):
    assert home_number(home(number)) == number


@given(st.text("abcdefgh", min_size=1, max_size=40))
def test_message_survives_for_kinds_of_any_length(kind):
    table = pa.table({"a": [1, 2], "b": ["x", None]})
    address, payload = message("here", kind, table)
    assert address == "here"
    assert message_kind(payload) == kind
    assert open_mail([payload]) == {kind: table}


def test_message_without_table_says_only_that_it_was_sent():
    mail = open_mail([message("x", HERE)[1]])
    assert list(mail) == [HERE]
    assert mail[HERE].num_rows == 0


def test_message_body_can_be_read_in_place():
    payload = message("x", "k", pa.table({"a": np.arange(1000)}))[1]
    column = open_mail([payload])["k"]["a"].chunk(0)
    assert column.buffers()[1].address % 8 == 0


def test_mail_of_a_kind_is_concatenated_and_kinds_stay_apart():
    sent = [message("x", "n", pa.table({"a": [i]})) for i in range(3)]
    sent.append(message("x", "other", pa.table({"b": ["z"]})))
    mail = open_mail([payload for _, payload in sent])
    assert mail["n"]["a"].to_pylist() == [0, 1, 2]
    assert mail["other"]["b"].to_pylist() == ["z"]


def test_note_goes_to_the_planner():
    address, payload = note("op", "what", 3)
    assert address == PLAN
    assert open_mail([payload])[NOTE].to_pylist() == [{"op": "op", "note": "what", "count": 3}]


@given(st.lists(st.integers(0, 1 << 20), max_size=50), st.sampled_from([np.int64, np.uint64]))
def test_scatter_sends_each_row_once_to_its_address(to, kind):
    table = pa.table({"row": np.arange(len(to)), "to": np.array(to, dtype=np.int64)})
    parts = list(scatter(table, np.array(to, dtype=kind), "p{}".format))
    assert [address for address, _ in parts] == [f"p{i}" for i in sorted(set(to))]
    for address, part in parts:
        assert {f"p{i}" for i in part["to"].to_pylist()} == {address}
        assert part["row"].to_pylist() == sorted(part["row"].to_pylist())
    assert sum(len(part) for _, part in parts) == len(to)


def test_round_takes_its_kinds_and_forwards_the_rest():
    seen = []

    def solve(address, mail):
        seen.append((address, sorted(mail)))
        yield message("next", "c", mail["a"])

    sent = [message("x", kind, pa.table({"v": [1]})) for kind in ("a", "b")]
    sent.append(message("y", HERE))
    left = run_rounds(sent, [Round(("a",), solve)])
    assert seen == [("x", ["a"])]
    assert sorted((address, message_kind(p)) for address, p in left) == [
        ("next", "c"),
        ("x", "b"),
        ("y", HERE),
    ]


def test_open_mail_refuses_tables_that_do_not_fit_together():
    sent = [message("x", "n", pa.table({"a": values})) for values in ([1], ["one"])]
    with pytest.raises(pa.ArrowTypeError, match="a"):
        open_mail([payload for _, payload in sent])
