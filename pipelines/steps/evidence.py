"""Evidence on a few rows: asked for at their homes, and sent to the address that asked."""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from pipelines.exchange.mail import Message, home, message, scatter
from pipelines.maths.arrays import Int64, Keys
from pipelines.rows import KEY, whole

EVIDENCE = "evidence"
"""Column from which similarity is computed."""


def ask(keys: Keys, homes: Int64, reply: str) -> Iterator[Message]:
    """Ask the homes of some rows for their evidence, each row once."""
    keys, at = np.unique(keys, return_index=True)
    wanted = pa.table({KEY: keys, "reply": pa.repeat(reply, len(keys))})
    for where, part in scatter(wanted, homes[at], home):
        yield message(where, "wanted", part)


def answer(wanted: pa.Table, held: Callable[[Keys], pa.Table]) -> Iterator[Message]:
    """Send what one shard holds of the wanted rows to the addresses that asked."""
    found = held(np.unique(wanted[KEY].to_numpy()))
    keys = found[KEY].to_numpy()
    order = np.argsort(keys, kind="stable")
    replies = whole(wanted["reply"]).dictionary_encode()
    for reply, asked in scatter(
        wanted, replies.indices.to_numpy(), lambda i: replies.dictionary[i].as_py()
    ):
        at = order[np.searchsorted(keys, asked[KEY].to_numpy(), sorter=order)]
        yield message(reply, EVIDENCE, found.take(pa.array(at)))
