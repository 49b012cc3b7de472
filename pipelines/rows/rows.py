"""A batch of rows with what is computed from it once: what every row step works on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar, cast

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.errors import UserError
from pipelines.maths.arrays import Floats, Keys, Mask
from pipelines.rows.keys import of_earlier_run
from pipelines.rows.texts import texts_of

View = TypeVar("View")

KEY = "_key"
"""int64 position key; internal, never written to the output."""
HOME = "_home"
"""int64; number of the working shard where a row lives; only in shuffled tables."""
ID = "_id"
"""string; the user's id, or `<file>#<row or byte offset>`."""
PARENT = "_parent"
"""string; id of the row a derived row was made from, null for input rows."""
SPLIT = "_split"
"""string; name of the output split, absent where the recipe has no `split` step."""
DEFAULT_SPLIT = "train"
"""Name of the split where the recipe has no `split` step."""


@dataclass(frozen=True)
class Columns:
    """Names of the columns with a role; None where the corpus has no such column."""

    text: str | None = None
    image: str | None = None
    label: str | None = None
    id: str | None = None


def merged_columns(found: Iterable[Columns]) -> Columns:
    """Return the roles that some batch or shard has a column for."""
    merged: dict[str, str] = {}
    for columns in found:
        merged |= {role: name for role, name in vars(columns).items() if name is not None}
    return Columns(**merged)


class MissingColumn(UserError):
    """A step wants a column that the corpus does not have: the recipe is wrong, not a row."""


@dataclass
class Rows:
    """Rows as one Arrow table with lazily derived, shared views.

    `table` holds the user's columns, `_key` and `_id`. Never change it in place: `replace` and
    `filter` return new rows. A view (tokens, decoded pixels, ...) is computed once, by `view`, and
    shared by all steps that ask for it, until a column changes.
    """

    table: pa.Table
    columns: Columns
    _views: dict[str, object] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.table.num_rows)

    @property
    def keys(self) -> Keys:
        """Position keys, shape (rows,)."""
        return cast("Keys", self.table[KEY].to_numpy())

    @property
    def are_earlier(self) -> bool:
        """Whether these are rows of an earlier run, of which only stored columns are known."""
        return bool(of_earlier_run(self.keys).any())

    @property
    def ids(self) -> pa.Array:
        """Row ids as a string array."""
        return whole(self.table[ID])

    def column(self, name: str | None, role: str = "column") -> pa.Array:
        """Return one column as a single array.

        Raises:
            MissingColumn: no such column, or no column has that role.
        """
        if name is None or name not in self.table.column_names:
            have = ", ".join(n for n in self.table.column_names if n != KEY)
            what = f"no {role} {name!r}" if name else f"no {role} column is named in `read`"
            raise MissingColumn(f"{what}; the rows have: {have}")
        return whole(self.table[name])

    @property
    def text(self) -> pa.Array:
        """The text column as a string array (offsets of 32 bits)."""
        return self.column(self.columns.text, "text").cast(pa.string())

    def strings(self, name: str | None, role: str = "column") -> pa.Array:
        """Return one column as strings, whatever single values it holds; equal values alike.

        Raises:
            MissingColumn: no such column, or it holds lists or structs.
        """
        values = self.column(name, role)
        if pa.types.is_nested(values.type):
            raise MissingColumn(f"{role} {name!r} holds {values.type}; it takes single values")
        return texts_of(values)

    @property
    def image_bytes(self) -> pa.Array:
        """The encoded image of each row as a binary array, from `binary` or `{bytes, path}`."""
        images = self.column(self.columns.image, "image")
        if pa.types.is_struct(images.type):
            images = pc.struct_field(images, "bytes")
        return images.cast(pa.binary())

    def view(self, name: str, make: Callable[[Rows], View]) -> View:
        """Return the derived view `name`, made by `make(self)` at the first call."""
        if name not in self._views:
            self._views[name] = make(self)
        return cast("View", self._views[name])

    def replace(self, name: str, values: pa.Array) -> Rows:
        """Return rows with column `name` set or added; all views are dropped."""
        names = self.table.column_names
        if name in names:
            return Rows(self.table.set_column(names.index(name), name, values), self.columns)
        return Rows(self.table.append_column(name, values), self.columns)

    def filter(self, keep: Mask) -> Rows:
        """Return the rows where `keep` holds, with those views that have a `filter` too."""
        if keep.all():
            return self
        views: dict[str, object] = {}
        for name, view in self._views.items():
            filtered = getattr(view, "filter", None)
            if filtered is not None:
                views[name] = filtered(keep)
        return Rows(self.table.filter(pa.array(keep)), self.columns, views)

    def slice(self, start: int, length: int) -> Rows:
        """Return `length` rows from `start`, without views."""
        return Rows(self.table.slice(start, length), self.columns)


def as_numbers(values: pa.Array) -> Floats | None:
    """Return a column of numbers as float64, NaN for null; None where it holds something else."""
    kind = values.type
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if not (numeric or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
        return None
    numbers: Floats = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers


def whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a chunked column as one array, without a copy where it has one chunk."""
    if column.num_chunks == 1:
        return column.chunk(0)
    merged = column.combine_chunks()
    if not isinstance(merged, pa.ChunkedArray):
        return merged
    if merged.num_chunks > 1:
        raise UserError(f"{merged.nbytes:,} bytes of {merged.type} do not fit into one array")
    return merged.chunk(0)
