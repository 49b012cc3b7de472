"""What a step is: a frozen value whose fields are the options of the recipe.

Three kinds have one method each. `Map` changes rows, `Filter` judges rows, `Derive` makes new rows
from rows (augmentation). Each of them sees one batch and must give the same answer however the
corpus was cut into batches. A fourth kind, `Corpus`, needs every row: see `pipelines.steps.corpus`.

When a step raises, its batch is not lost: the engine halves the batch until the rows that raise
stand alone, and quarantines those.
"""

from abc import abstractmethod
from typing import ClassVar

from pipelines.options import Options
from pipelines.rows import Rows
from pipelines.rows.chance import Chance
from pipelines.rows.verdicts import Verdicts, first_of, within

__all__ = [
    "Chance",
    "Derive",
    "Filter",
    "Map",
    "Step",
    "Verdicts",
    "first_of",
    "within",
]

COLUMN_OPTIONS = ("column", "columns", "by", "per", "group", "prefer")
"""Options that name columns."""


class Step(Options):
    """One entry of a recipe's `steps`."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Roles of `Columns` that the step reads: any of text, image, label."""
    extra: ClassVar[str | None] = None
    """Name of the pip extra that brings what the step imports."""
    imports: ClassVar[tuple[str, ...]] = ()
    """Modules of that extra; looked for before anything runs."""
    varies: ClassVar[str | None] = None
    """What may differ on another processor, all else being equal; None if nothing may."""
    budgeted: ClassVar[bool] = False
    """Whether options say how many rows are kept, so that dropping most of them is no surprise."""

    op: str
    """Name of the operator."""

    def names(self) -> list[tuple[str, str]]:
        """Return (option, column) for each column that an option names and that must be there."""
        found, own = [], self.adds()
        for option in COLUMN_OPTIONS:
            value = getattr(self, option, None) or ()
            columns = (value,) if isinstance(value, str) else value
            found += [(option, name) for name in columns if name not in own]
        return found

    def adds(self) -> tuple[str, ...]:
        """Return the columns that this step adds to the rows."""
        return ()

    def roles(self) -> tuple[str, ...]:
        """Return the roles that this step reads with the options it has."""
        return self.needs

    def reads(self) -> tuple[str, ...]:
        """Return the paths of files, besides the input, that decide what this step does."""
        return ()

    def packages(self) -> tuple[str | None, tuple[str, ...]]:
        """Return the extra and the modules that this step needs with the options it has."""
        return self.extra, self.imports

    def outside(self) -> str | None:
        """Name the data from outside the corpus that this step relies on, if there is any."""
        return None

    def check_files(self) -> None:
        """Refuse the files of `reads` if they cannot be used; called before anything runs.

        Raises:
            UserError: what is wrong with which file.
        """


class Map(Step):
    """Changes or adds columns; keeps every row."""

    @abstractmethod
    def apply(self, rows: Rows, chance: Chance) -> Rows:
        """Return the same rows, in the same order, with columns changed or added."""


class Filter(Step):
    """Keeps or drops each row for a reason."""

    @abstractmethod
    def judge(self, rows: Rows, chance: Chance) -> Verdicts:
        """Return one verdict per row, aligned with `rows`."""


class Derive(Step):
    """Makes new rows from kept ones; comes after all filters and corpus steps."""

    copies: int
    """Rows made from each row."""

    @abstractmethod
    def derive(self, rows: Rows, copy: int, chance: Chance) -> Rows:
        """Return one new row for each row, same order and columns; `copy` counts from 0.

        The engine gives the new rows their key, `_id` and `_parent`.
        """
