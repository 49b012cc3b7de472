"""A small recipe class with operators of its own, so that messages do not hang on real ones."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from curate.recipe.recipe import Recipe
from pipelines.options import Options
from pipelines.steps import corpus, step


def _never(*_: Any) -> Any:
    raise NotImplementedError("these recipes are read and never run")


class Map(step.Map):
    apply = _never


class Filter(step.Filter):
    judge = _never


class Derive(step.Derive):
    derive = _never


class Corpus(corpus.Corpus):
    sign = send = rounds = _never


class WordCount(Filter):
    """Drop texts with too few or too many words. Cheap."""

    needs: ClassVar[tuple[str, ...]] = ("text",)
    reasons: ClassVar[tuple[str, ...]] = ("too_short", "too_long")
    op: Literal["word_count"] = "word_count"
    at_least: int = Field(default=0, ge=0)
    """Fewest words a kept text has."""
    at_most: int | None = Field(default=None, ge=1)
    """Most words a kept text has."""


class Embed(Map):
    """Add a vector to each row."""

    op: Literal["embed"] = "embed"
    model: Literal["hash", "minilm"] = "hash"
    """Which encoder."""
    column: str = "_embedding"
    """Name of the new column."""

    def adds(self) -> tuple[str, ...]:
        return (self.column,)


class SemanticDedup(Corpus):
    """Drop rows whose vectors are near."""

    op: Literal["semantic_dedup"] = "semantic_dedup"
    similarity: float = Field(default=0.95, gt=0, le=1)
    """Least cosine of duplicates."""
    column: str = "_embedding"
    """Column of vectors."""


class Languages(Filter):
    """Keep some languages."""

    op: Literal["languages"] = "languages"
    keep: tuple[str, ...] = Field(min_length=1)
    """Codes."""
    where: str | tuple[str, ...] = "text"
    """Column or columns."""


class Split(Map):
    """Split the rows."""

    op: Literal["split"] = "split"

    def adds(self) -> tuple[str, ...]:
        return ("_split",)


class Synonyms(Derive):
    """Make new texts."""

    op: Literal["synonyms"] = "synonyms"
    copies: int = 1
    """Copies."""


class LabelNoise(Filter):
    """Drop wrong labels."""

    needs: ClassVar[tuple[str, ...]] = ("label",)
    extra: ClassVar[str | None] = "labels"
    imports: ClassVar[tuple[str, ...]] = ("no_such_module_here",)
    op: Literal["label_noise"] = "label_noise"


class TinyRead(Options):
    def packages(self) -> tuple[None, tuple[()]]:
        return None, ()


class Lines(TinyRead):
    format: Literal["jsonl"] = "jsonl"
    path: str
    text: str | None = None
    label: str | None = None


class Commas(TinyRead):
    format: Literal["csv"] = "csv"
    path: str
    delimiter: str = ","
    text: str | None = None
    label: str | None = None


class Plain(TinyRead):
    format: Literal["text"] = "text"
    path: str


TinyStep = Annotated[
    WordCount | Embed | SemanticDedup | Languages | Split | Synonyms | LabelNoise,
    Field(discriminator="op"),
]


class TinyRecipe(Recipe):
    read: Annotated[Lines | Commas | Plain, Field(discriminator="format")]
    steps: tuple[TinyStep, ...] = ()


STEPS = {
    step.model_fields["op"].default: step
    for step in (WordCount, Embed, SemanticDedup, Languages, Split, Synonyms, LabelNoise)
}
