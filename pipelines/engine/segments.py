"""Segments: a recipe cut at its corpus steps, and the names under which their work is found."""

import hashlib
import json
from dataclasses import dataclass

from pipelines.engine.row_steps import first_copies
from pipelines.steps.corpus import Corpus
from pipelines.steps.step import Filter, Step


@dataclass(frozen=True)
class Segment:
    """Consecutive row steps and the corpus step they lead to, None before the output."""

    index: int
    name: str
    """Position and a digest of all steps that its rows and its signatures depend on."""
    previous: str | None
    """Name of the segment before, None for the first."""
    row_steps: tuple[tuple[int, Step], ...]
    corpus: tuple[int, Corpus] | None
    follows: tuple[int, Corpus] | None
    """The corpus step whose verdicts this segment starts with, None for the first."""
    first_copies: dict[int, int]
    named: tuple[str, ...] = ()
    """Columns of the input that steps name; null in a batch of records that lack them."""

    @property
    def rewrites(self) -> bool:
        """Tell whether rows may change, so that they are written anew."""
        edits = self.follows is not None and self.follows[1].edits
        changes = any(not isinstance(step, Filter) for _, step in self.row_steps)
        return self.index == 0 or edits or changes


def segments_of(steps: tuple[Step, ...], seed: int = 0) -> list[Segment]:
    """Cut the steps of a recipe, numbered from 1, into segments."""
    segments: list[Segment] = []
    row_steps: list[tuple[int, Step]] = []
    follows: tuple[int, Corpus] | None = None
    previous: str | None = None
    copies, named = first_copies(steps), named_columns(steps)
    for number, step in enumerate(steps, start=1):
        if isinstance(step, Corpus):
            here = (number, step)
            name = _name(len(segments), steps[: number - 1], step, (seed, named))
            own = (len(segments), name, previous, tuple(row_steps))
            segments.append(Segment(*own, here, follows, copies, named))
            row_steps, follows, previous = [], here, name
        else:
            row_steps.append((number, step))
    name = _name(len(segments), steps, None, (seed, named))
    own = (len(segments), name, previous, tuple(row_steps))
    segments.append(Segment(*own, None, follows, copies, named))
    return segments


def _name(index: int, before: tuple[Step, ...], corpus: Corpus | None, whole: object) -> str:
    """Name a segment by what decides its rows and what it signs; the input is the folder's part.

    `whole` is what it takes of the whole recipe: its seed and the columns that its steps name.
    """
    decides: list[object] = [whole, *(step.model_dump(mode="json") for step in before)]
    if corpus is not None:
        decides.append(corpus.model_dump(mode="json", exclude=set(corpus.after_sign)))
    digest = hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:12]
    return f"s{index}-{digest}"


def named_columns(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """Return the columns that steps name and no earlier step adds."""
    named: dict[str, None] = {}
    added: set[str] = set()
    for step in steps:
        named |= dict.fromkeys(name for _, name in step.names() if name not in added)
        added.update(step.adds())
    return tuple(named)
