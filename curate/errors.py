"""What goes wrong for a user, as exceptions that print without a traceback."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.errors import UserError
from pipelines.store_errors import scrubbed

Place = tuple[str | int, ...]
"""Where something stands in a recipe: keys, and positions in lists counted from 0."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a recipe, before its file and line are known."""

    path: Place
    text: str


class RecipeError(UserError):
    """A recipe that cannot run: all that is wrong with it, one message each, in file order."""

    def __init__(self, messages: Sequence[str]) -> None:
        super().__init__(tuple(messages))
        self.messages = tuple(messages)

    def __str__(self) -> str:
        return "\n".join(self.messages)


class RunFailed(RuntimeError):
    """A run that ended without a usable output; the message says why and what to do."""


class TooManyQuarantined(RunFailed):
    """More rows could not be read or processed than the recipe's `max_quarantined` allows."""

    def __init__(
        self,
        quarantined: int,
        rows: int,
        budget: float,
        culprits: Sequence[str],
        place: str | None = None,
    ) -> None:
        """Say how far past the budget the run is.

        Args:
            quarantined: rows quarantined.
            rows: rows read.
            budget: the recipe's `max_quarantined`, a count or a fraction.
            culprits: the first few, each as `file: where: error`.
            place: where the output was put aside, with its ledger.
        """
        super().__init__(quarantined, rows, budget, tuple(culprits), place)
        self.place = place
        self.quarantined = quarantined
        self.rows = rows
        self.budget = budget
        self.culprits = tuple(culprits)

    def __str__(self) -> str:
        allowed = f"{self.budget:.10g} of them" if self.budget < 1 else f"{self.budget:,}"
        if self.budget == 0:
            allowed = "none"
        lines = [
            f"too many rows quarantined: {self.quarantined:,} of {self.rows:,}; "
            f"allowed: {allowed} (`max_quarantined` in the recipe)"
        ]
        lines += [f"  {culprit}" for culprit in self.culprits]
        if self.quarantined > len(self.culprits):
            lines.append(f"  … and {self.quarantined - len(self.culprits):,} more")
        if self.place:
            lines.append(f"the output was put aside, with its ledger: {self.place}")
        return "\n".join(lines)


class InputDamaged(RunFailed):
    """Files of the input were not read whole, and the recipe does not allow it."""

    def __init__(self, said: str, place: str) -> None:
        """Say what is missing.

        Args:
            said: which files, and about how many rows.
            place: where the output was put aside, with its ledger.
        """
        super().__init__(
            f"{said}\nMend the files and run again, or take what could be read with "
            f"`read: {{damaged: allow}}`. The output was put aside, with its ledger: {place}"
        )
        self.place = place


def shown(value: object, most: int = 60) -> str:
    """Return a value as its YAML reader would write it, cut to `most` characters."""
    if value is None:
        return "nothing"
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str)
    text = scrubbed(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"
