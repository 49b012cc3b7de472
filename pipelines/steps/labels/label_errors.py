"""Drop rows whose label a model confidently contradicts: confident learning."""

from collections.abc import Iterator, Mapping
from functools import reduce
from operator import add
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pipelines.errors import UserError
from pipelines.exchange.mail import Mail, Message, Round, home, home_number, measure, message
from pipelines.maths.arrays import Floats, Int64, Keys
from pipelines.maths.labels.confident import SelfConfidence, label_issues, partial_sums, thresholds
from pipelines.maths.labels.folds import FoldModels, TooFewLabels, fit_folds, predict
from pipelines.rows import HOME, Rows
from pipelines.rows.chance import Chance
from pipelines.steps.corpus import WHOLE, Site, send_home, verdict_table
from pipelines.steps.vectors.vector_columns import VectorCorpus, drawn_first, vector_matrix

Judged = tuple[Keys, Int64, Floats]
"""Keys, class numbers and out-of-fold probabilities of some rows."""

UNSEEN = -2
"""Stands for the label of a row whose class the model of its fold was not shown."""
MUCH = 0.25
"""The report warns if a larger share of the labels is taken for wrong: hard rows may be among them.
"""


class DropLabelErrors(VectorCorpus):
    """Drop rows whose label is probably wrong, by confident learning (Northcutt et al. 2021).

    A linear model judges each row by its vector without having seen the row's fold; a row is
    dropped where another class reaches the mean confidence of that class's own rows and the label
    is not the likeliest class. The model is fitted to at most `fit_rows` rows. One float32 vector
    per row of that sample is shuffled, and three numbers per class and shard. Where labels are
    clean it drops hard rows: prove that it helped. Rows of a class that the model of their fold was
    not shown are not judged; the run says how many. Reason: `label_error`, with the probability of
    the label, the threshold of the class that the row looks like, and that class.
    """

    op: Literal["drop_label_errors"] = "drop_label_errors"
    needs: ClassVar[tuple[str, ...]] = ("label",)
    folds: int = Field(default=5, ge=2, le=20)
    """Parts of the corpus; each part is judged by a model fitted to the others."""
    at_most: float = Field(default=1.0, gt=0, le=1)
    """Greatest probability of its own label that a dropped row has. With less than 1, fewer rows
    are dropped, and more surely wrong ones: of use where the vectors are weak."""
    fit_rows: int = Field(default=50_000, ge=100)
    """Most rows to which the models are fitted; the others are only judged."""

    def sample_size(self, total: int) -> int:
        """Return the rows that models are fitted to."""
        return self.fit_rows

    def described(self, rows: Rows, chance: Chance) -> dict[str, pa.Array]:
        """Return fold and label."""
        return {"fold": self._folds(rows, chance), "label": self._labels(rows)}

    def sign(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return key, length of the vector and label of the rows that have a label."""
        signed = super().sign(rows, chance).append_column("label", self._labels(rows))
        return signed.filter(signed["label"].is_valid())

    def send(self, signed: pa.Table, number: int, shards: int) -> Iterator[Message]:
        """Post the number of rows and the different labels."""
        yield from super().send(signed, number, shards)
        yield message(WHOLE, "labels", pa.table({"label": signed["label"].unique()}))

    def eligible(self, rows: Rows) -> Rows:
        """Return the rows with a label."""
        return rows.filter(self._labels(rows).is_valid().to_numpy(zero_copy_only=False))

    def rounds(self, site: Site) -> tuple[Round, ...]:
        """Return the rounds sample → fit → sum → thresholds → verdicts."""

        def fit(address: str, mail: Mail) -> Iterator[Message]:
            return self._fit(site, mail)

        def add_up(address: str, mail: Mail) -> Iterator[Message]:
            return self._sum(site, home_number(address), mail["models"])

        def judge(address: str, mail: Mail) -> Iterator[Message]:
            return self._judge(site, home_number(address), mail["thresholds"])

        return (
            *self.draw_rounds(site),
            Round(("plan", "sample", "labels"), fit),
            Round(("models",), add_up),
            Round(("sums",), self._threshold),
            Round(("thresholds",), judge),
        )

    def _fit(self, site: Site, mail: Mail) -> Iterator[Message]:
        """Fit one model per fold and store them where every shard can read them."""
        classes = sorted(mail["labels"]["label"].unique().to_pylist())
        if len(classes) < 2 or "sample" not in mail:
            found = ", ".join(map(repr, classes)) or "no label"
            raise UserError(
                f"drop_label_errors found {found}; it needs two labels or more, and vectors that "
                "are not zero"
            )
        sample = drawn_first(mail["sample"], self.fit_rows)
        labels, folds = class_numbers(sample["label"], classes), sample["fold"].to_numpy()
        try:
            vectors = vector_matrix(sample["vector"])
            models = fit_folds(vectors, labels, folds, self.folds, n_classes=len(classes))
        except TooFewLabels as error:
            raise UserError(str(error)) from error
        path = site.store(
            f"models-{site.chance.step}.npz",
            coef=models.coef,
            intercept=models.intercept,
            classes=np.array(classes),
        )
        for number in mail["plan"][HOME].to_pylist():
            yield message(home(number), "models", pa.table({"path": [path]}))

    def _sum(self, site: Site, number: int, told: pa.Table) -> Iterator[Message]:
        """Sum the confidence in each label over the rows of one shard."""
        path = told["path"][0].as_py()
        parts = [partial_sums(p, labels) for _, labels, p in self._found(site, number, path)]
        if not parts:
            return
        sums = reduce(add, parts)
        n = len(sums.rows)
        columns = {"class": np.arange(n), "total": sums.total, "rows": sums.rows}
        columns |= {HOME: np.full(n, number), "path": pa.repeat(path, n)}
        yield message(WHOLE, "sums", pa.table(columns))

    def _threshold(self, address: str, mail: Mail) -> Iterator[Message]:
        """Turn the sums of all shards into one threshold per class."""
        sums = mail["sums"]
        added = sums.group_by("class").aggregate([("total", "sum"), ("rows", "sum")])
        added = added.sort_by("class")
        bounds = thresholds(
            SelfConfidence(added["total_sum"].to_numpy(), added["rows_sum"].to_numpy())
        )
        table = pa.table({"threshold": bounds, "path": pa.repeat(sums["path"][0], len(bounds))})
        for number in np.unique(sums[HOME].to_numpy()).tolist():
            yield message(home(number), "thresholds", table)

    def _judge(self, site: Site, number: int, told: pa.Table) -> Iterator[Message]:
        """Decide on the rows of one shard."""
        path, bounds = told["path"][0].as_py(), told["threshold"].to_numpy()
        classes = site.load(path)["classes"]
        judged = dropped = unseen = 0
        for keys, labels, probabilities in self._found(site, number, path):
            issue, suggested = label_issues(probabilities, labels, bounds)
            own = probabilities[np.arange(len(labels)), labels]
            at = np.flatnonzero(issue & (own <= self.at_most))
            looks = suggested[at]
            named = zip(classes[looks], probabilities[at, looks], strict=True)
            verdicts = verdict_table(
                keys[at],
                "label_error",
                value=np.round(own[at], 6),
                threshold=np.round(bounds[looks], 6),
                detail=pa.array([f"looks like {c} ({p:.2f})" for c, p in named], pa.string()),
            )
            yield from send_home(verdicts, np.full(len(at), number))
            judged, dropped = judged + int((labels >= 0).sum()), dropped + len(at)
            unseen += int((labels == UNSEEN).sum())
        figures = {"judged": judged, "dropped": dropped}
        yield measure(site.chance.step, **figures, **({"unseen": unseen} if unseen else {}))

    def in_words(self, measured: Mapping[str, float]) -> str:
        """Return how many of the labels are taken for wrong."""
        judged, dropped = measured["judged"], measured["dropped"]
        share = dropped / max(judged, 1)
        said = f"takes {dropped:,.0f} of {judged:,.0f} labels for wrong ({share:.1%})"
        if share > MUCH:
            said += ": many, so prove that dropping them helps"
        if unseen := measured.get("unseen"):
            said += f"; {unseen:,.0f} rows of classes too small for every fold are not judged"
        return said

    def _found(self, site: Site, number: int, path: str) -> Iterator[Judged]:
        """Yield what the models say of the usable rows of one shard, batch by batch."""
        stored = site.load(path)
        models = FoldModels(stored["coef"], stored["intercept"])
        for batch in site.rows(number):
            rows, vectors = self.usable(batch, models.coef.shape[2])
            labels = class_numbers(self._labels(rows), stored["classes"].tolist())
            folds = self._folds(rows, site.chance)
            # A model that was shown no row of a class cannot say that a row is not of it.
            strange = np.isneginf(models.intercept[folds, labels]) & (labels >= 0)
            labels[strange] = UNSEEN
            yield rows.keys, labels, predict(models, vectors, folds)

    def _labels(self, rows: Rows) -> pa.Array:
        labels = rows.strings(rows.columns.label, "label")
        return pc.if_else(pc.equal(labels, ""), pa.scalar(None, pa.string()), labels)

    def _folds(self, rows: Rows, chance: Chance) -> Int64:
        return (chance.hashes(rows.ids) % np.uint64(self.folds)).astype(np.int64)


def class_numbers(labels: pa.Array | pa.ChunkedArray, classes: list[str]) -> Int64:
    """Return the position of each label in `classes`, -1 for one that is not there."""
    found = pc.index_in(labels, pa.array(classes, pa.string()))
    return np.asarray(pc.fill_null(found, -1).to_numpy(), dtype=np.int64)
