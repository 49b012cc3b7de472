"""What all formats share: the fields of a recipe's `read` and the roles of columns."""

import difflib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from pipelines import listings
from pipelines.errors import UserError
from pipelines.options import Options, StorePath
from pipelines.readers.reader import CHUNK_SIZE, Chunk, ChunkSize, Piece
from pipelines.readers.strangers import lifted, nested_field
from pipelines.rows import ID, KEY, PARENT, SPLIT, Columns
from pipelines.rows.merging import is_image, is_text


class Source(Options):
    """The `read` section of a recipe: which files, in which format, with which columns."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    """File names that a folder is searched for."""
    unit: ClassVar[str] = "row"
    """What positions in a file count: `byte` for formats of lines."""

    format: str
    """Name of the format."""
    path: StorePath | tuple[StorePath, ...] = Field(min_length=1)
    """A file, folder, glob or URL (gs://, s3://, hdfs://), or a list of them."""
    text: str | None = None
    """Column that holds the text; `text` where there is one."""
    image: str | None = None
    """Column that holds the image; `image` where there is one."""
    label: str | None = None
    """Column that holds the label; `label` where there is one."""
    id: str | None = None
    """Column that holds the id of a row; `_id` or `id` where there is one, else
    `<file>#<row or byte offset>`."""
    links: Literal["inside", "follow"] = "inside"
    """Links that are followed: those to what lies in the folder, or those out of it too."""
    splits: Literal["auto", "ignore"] = "auto"
    """Whether folders called `train`, `validation`, `test` and the like, or else the values of a
    column `split`, become the splits of the output."""
    damaged: Literal["refuse", "allow"] = "refuse"
    """What to do where a file was not read to its end, or changed while it was read: fail the run,
    or take what could be read and say how many rows are missing, about."""

    @property
    def one_row_per_file(self) -> bool:
        """Whether the listing is one table with one row per file."""
        return False

    def packages(self) -> tuple[str | None, tuple[str, ...]]:
        """Return the pip extra and the modules that reading needs."""
        return None, ()

    def look(self) -> listings.Listing:
        """List the input files, sorted by name, and what was passed over."""
        return listings.look(self.path, self.suffixes, outside=self.links == "follow")

    def list_files(self) -> list[listings.File]:
        """Return the input files, sorted by name."""
        return list(self.look().files)

    def also_read(self, listed: Sequence[listings.File]) -> list[listings.File]:
        """Return the files that rows of the files listed also come from."""
        return []

    def splittable(self, file: listings.File) -> bool:
        """Tell whether byte ranges of the file can be read on their own."""
        return False

    def expanded(self, file: listings.File) -> int:
        """Return about how many bytes the file holds once read."""
        return file.size

    @abstractmethod
    def read(
        self, piece: Piece, *, required: Sequence[str] = (), size: ChunkSize = CHUNK_SIZE
    ) -> Iterator[Chunk]:
        """Yield the records of a piece in order, in chunks of bounded size.

        Records without a usable value in one of the `required` roles are bad.
        """

    def read_pieces(
        self, pieces: Sequence[Piece], required: Sequence[str], size: ChunkSize
    ) -> Iterator[Chunk]:
        """Yield the records of several pieces in order."""
        for piece in pieces:
            yield from self.read(piece, required=required, size=size)

    def piece_at(self, whole: Piece, position: int) -> Piece:
        """Return the smallest piece of a file that holds the record at `position`."""
        return whole

    def present(self, have: Sequence[str]) -> Columns:
        """Return the roles that the columns `have` can fill."""
        wanted = {
            "text": self.text or "text",
            "image": self.image or "image",
            "label": self.label or "label",
            "id": self.id or (ID if ID in have else "id"),
        }
        return Columns(**{role: name for role, name in wanted.items() if name in have})

    def check(self, schema: pa.Schema, file: str, required: Sequence[str]) -> Columns:
        """Check the columns of a file that has a schema, and return their roles.

        Raises:
            UserError: a column is named twice, reserved, missing, or of a type its role cannot
                have.
        """
        have = schema.names
        twice = sorted({name for name in have if have.count(name) > 1})
        if twice:
            raise UserError(f"{file} has two columns called {twice[0]!r}: rename one of them")
        check_reserved(have, self.id, file)
        found = self.present(have)
        for role in ("text", "image", "label", "id"):
            name = getattr(self, role)
            if getattr(found, role) is None and (name is not None or role in required):
                raise UserError(_no_column(role, name or role, have, file))
        check_types(schema, found, required, file)
        return found


def check_reserved(have: Sequence[str], id_column: str | None, file: str) -> None:
    """Refuse columns that would be overwritten by ours."""
    ours = (KEY, SPLIT, PARENT) if id_column in (None, ID) else (KEY, SPLIT, PARENT, ID)
    for name in ours:
        if name in have:
            raise UserError(
                f"{file} has a column {name!r}, which curate keeps for itself: rename it"
            )


def check_types(schema: pa.Schema, columns: Columns, required: Sequence[str], file: str) -> None:
    """Refuse a column whose type can never fill its role."""
    for role, fits, wanted in (
        ("text", is_text, "text"),
        ("image", is_image, "bytes or {bytes, path}; image files are read by `format: images`"),
    ):
        name = getattr(columns, role)
        if role in required and name is not None and not fits(schema.field(name).type):
            kind = schema.field(name).type
            inner = kind.field(0).name if pa.types.is_struct(kind) and kind.num_fields else None
            instead = f" Or for its field: {lifted(role, f'{name}.{inner}')}" if inner else ""
            raise UserError(
                f"{file}: column {name!r} is {kind}, but {role} must be {wanted}. "
                f"Name another column with `read: {{{role}: ...}}`; "
                f"there are: {', '.join(schema.names)}.{instead}"
            )


def _no_column(role: str, name: str, have: Sequence[str], file: str) -> str:
    apart = next((sign for sign in ";\t|" if len(have) == 1 and sign in have[0]), None)
    if apart is not None:
        return (
            f"{file} has one column {have[0]!r}: its fields seem to be set apart by {apart!r}; "
            f"write `read: {{delimiter: {apart!r}}}`"
        )
    if said := nested_field(role, name, have):
        return f"{file}: {said}"
    close = difflib.get_close_matches(name, have, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else ""
    return (
        f"{file} has no {role} column {name!r}; it has: {', '.join(have) or 'none'}{meant} "
        f"Name it with `read: {{{role}: {close[0] if close else '...'}}}`"
    )
