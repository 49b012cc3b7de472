"""What steps that cut spans out of texts share: the verdicts they send and the edit they make."""

from collections.abc import Iterator
from typing import ClassVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pipelines.exchange.mail import Message, home, message
from pipelines.maths.arrays import Int64, Keys
from pipelines.maths.text.spans import without
from pipelines.rows import KEY, Rows
from pipelines.rows.chance import Chance
from pipelines.steps.corpus import EDIT, Corpus, send_home, verdict_table

CUT = "_cut"
"""int64; characters cut out of the text of a row so far, null where nothing was."""


class TextCutter(Corpus):
    """A corpus step that cuts spans out of texts and drops the rows of which too little is left.

    A row that was edited keeps its id; the column `_cut` counts the characters it lost.
    """

    needs: ClassVar[tuple[str, ...]] = ("text",)
    edits: ClassVar[bool] = True

    rest_at_least: int = Field(default=1, ge=0)
    """Fewest words that must be left of a text that is cut; with fewer, the row is dropped."""

    def adds(self) -> tuple[str, ...]:
        """Return the column that counts the characters cut."""
        return (CUT,)

    def edited_types(self) -> dict[str, pa.DataType]:
        """Return the type of that column."""
        return {name: pa.int64() for name in self.adds()}

    def settle(
        self, number: int, keys: Keys, left: Int64, detail: pa.Array, edits: pa.Table
    ) -> Iterator[Message]:
        """Post the decision on some rows of one shard: dropped or edited.

        Args:
            number: their shard.
            keys: the rows, ascending.
            left: how many words are left of each.
            detail: what is cut out of each, in words.
            edits: `_key`, and `start` and `stop` of each span to cut in the bytes of the text.
        """
        gone = left < self.rest_at_least
        verdicts = verdict_table(
            keys, "nothing_left", value=left, threshold=self.rest_at_least, detail=detail
        ).filter(pa.array(gone))
        yield from send_home(verdicts, np.full(len(verdicts), number))
        stays = ~gone[np.searchsorted(keys, edits[KEY].to_numpy())]
        if stays.any():
            yield message(home(number), EDIT, edits.filter(pa.array(stays)))

    def edit(self, rows: Rows, edits: pa.Table, chance: Chance) -> Rows:
        """Return the rows with the spans cut out of their texts."""
        texts = rows.text
        order = np.argsort(rows.keys)
        at = order[np.searchsorted(rows.keys, edits[KEY].to_numpy(), sorter=order)]
        short = without(texts, at, edits["start"].to_numpy(), edits["stop"].to_numpy())
        lost = pc.subtract(pc.utf8_length(texts), pc.utf8_length(short)).cast(pa.int64())
        if CUT in rows.table.column_names:
            lost = pc.add(lost, pc.fill_null(rows.column(CUT).cast(pa.int64()), 0))
        name = cast("str", rows.columns.text)
        kind = rows.column(name).type
        return rows.replace(name, short.cast(kind)).replace(CUT, lost)


def of_so_many(parts: Int64, wholes: Int64, what: str) -> pa.Array:
    """Return "3 of 7 <what>" for each pair."""
    numbers = [pa.array(n).cast(pa.string()) for n in (parts, wholes)]
    return pc.binary_join_element_wise(numbers[0], " of ", numbers[1], f" {what}", "")
