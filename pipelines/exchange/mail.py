"""The columnar shuffle: tables addressed to partitions, moved as bytes by one GroupByKey per round.

A corpus computation is a chain of rounds. In each, everything sent to one address arrives there
together and is solved with vectorised code; what it sends goes to the next round. Two kinds of
addresses: `shard:<number>` is the home of a working shard, where its rows lie; any other string
names a partition of keys. Mail that a round does not take is forwarded to the same address.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Message = tuple[str, bytes]
"""(address, payload); the payload is the kind of the message, filled up with zeros to a multiple of
16 bytes (so that what follows can be read in place), and an Arrow stream."""
Mail = dict[str, pa.Table]
"""What arrived at one address: one table per kind."""

TASK = "task"
"""Kind of the message that gives a shard its part of the input to read."""
HERE = "here"
"""Kind of the message by which a shard stays in the flow until its next segment."""

_ALIGNED = 16

PLAN = "plan"
"""Address of the planner of the output."""
SPENT = "spent"
"""Kind of the messages to PLAN that say what a round cost: columns step, seconds, shuffled."""
MEASURE = "measure"
"""Kind of the messages to PLAN with figures of a step, which are summed: step, name, value."""
NOTE = "note"
"""Kind of the messages to PLAN that the manifest repeats: columns as `note` takes them."""


def home(number: int) -> str:
    """Return the address of working shard `number`."""
    return f"shard:{number}"


def home_number(address: str) -> int:
    """Return the number of the working shard that lives at `address`."""
    return int(address.removeprefix("shard:"))


def message(address: str, kind: str, table: pa.Table | None = None) -> Message:
    """Return a table as a message; without a table it says only that it was sent."""
    head = kind.encode()
    head = head.ljust((len(head) // _ALIGNED + 1) * _ALIGNED, b"\0")
    if table is None:
        return address, head
    sink = pa.BufferOutputStream()
    sink.write(head)
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return address, sink.getvalue().to_pybytes()


def message_kind(payload: bytes) -> str:
    """Return the kind of a message."""
    return payload[: payload.index(b"\0")].decode()


def note(
    op: str, text: str, count: int, step: int | None = None, warning: str | None = None
) -> Message:
    """Return a message to the planner: where a step had to compromise, and how often.

    With `warning`, a kind that `pipelines.ledger.counts.Note` knows, people are warned of it.
    """
    told = {"op": op, "note": text, "count": count, "step": step, "warning": warning}
    return message(PLAN, NOTE, pa.table({k: [v] for k, v in told.items() if v is not None}))


def measure(step: int, **figures: float) -> Message:
    """Return a message to the planner: figures of step number `step`, summed over all messages."""
    names, values = list(figures), [float(value) for value in figures.values()]
    table = pa.table({"step": [step] * len(names), "name": names, "value": values})
    return message(PLAN, MEASURE, table)


def open_mail(payloads: Iterable[bytes]) -> Mail:
    """Return the tables of some payloads, those of one kind concatenated.

    The order of rows is the order of arrival, which means nothing: solvers sort.
    """
    tables: dict[str, list[pa.Table]] = {}
    for payload in payloads:
        kind = message_kind(payload)
        of_kind = tables.setdefault(kind, [])
        body = pa.py_buffer(payload).slice((len(kind.encode()) // _ALIGNED + 1) * _ALIGNED)
        if body.size:
            of_kind.append(pa.ipc.open_stream(body).read_all())
    return {
        kind: pa.concat_tables(parts, promote_options="permissive") if parts else pa.table({})
        for kind, parts in tables.items()
    }


def scatter(
    table: pa.Table, addresses: npt.NDArray[np.integer], name: Callable[[int], str]
) -> Iterator[tuple[str, pa.Table]]:
    """Split a table by one integer partition per row; yields (address, rows) in partition order."""
    if table.num_rows == 0:
        return
    first, last = int(addresses.min()), int(addresses.max())
    if first == last:
        yield name(first), table
        return
    if first >= 0 and last < 1 << 16:  # small integers are sorted by counting
        addresses = addresses.astype(np.uint16)
    order = np.argsort(addresses, kind="stable")
    ordered = addresses[order]
    bounds = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    moved = table.take(pa.array(order))
    for start, stop in zip(
        np.concatenate([[0], bounds]), np.concatenate([bounds, [len(order)]]), strict=True
    ):
        yield name(int(ordered[start])), moved.slice(start, stop - start)


@dataclass(frozen=True)
class Round:
    """One round: the kinds of messages it takes and what it makes of them at one address."""

    takes: tuple[str, ...]
    solve: Callable[[str, Mail], Iterable[Message]]

    def __call__(self, address: str, payloads: Iterable[bytes]) -> Iterator[Message]:
        """Solve what arrived at `address`; forward the rest."""
        taken: list[bytes] = []
        for payload in payloads:
            if message_kind(payload) in self.takes:
                taken.append(payload)
            else:
                yield address, payload
        if taken:
            yield from self.solve(address, open_mail(taken))


def run_rounds(messages: Iterable[Message], rounds: Iterable[Round]) -> list[Message]:
    """Run rounds in memory, as the engine does by GroupByKey: for tests and small inputs."""
    current = list(messages)
    for step in rounds:
        grouped: dict[str, list[bytes]] = {}
        for address, payload in current:
            grouped.setdefault(address, []).append(payload)
        current = [out for address, group in grouped.items() for out in step(address, group)]
    return current
