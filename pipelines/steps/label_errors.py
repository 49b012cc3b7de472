"""Drop rows whose label a model confidently contradicts: confident learning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pipelines.confident import SelfConfidence, label_issues, partial_sums, thresholds
from pipelines.folds import FoldModels, fit_folds, predict
from pipelines.mail import Mail, Message, Round, home, home_number, message
from pipelines.rows import KEY, Rows
from pipelines.steps.corpus import HOME, WHOLE, Corpus, Site, send_home, verdict_table
from pipelines.steps.semantic_dedup import matrix, unit_vectors
from pipelines.steps.step import Chance
from pipelines.tokens import mix


class DropLabelErrors(Corpus):
    """Drop rows whose label is probably wrong, by confident learning (Northcutt et al. 2021).

    A linear model judges each row by its vector without having seen the row's fold; a row is
    dropped where another class reaches the mean confidence of that class's own rows and the label
    is not the likeliest class. The model is fitted to at most `fit_rows` rows; one float32 vector
    a row of that sample is shuffled, and three numbers a class and shard. With clean labels it
    drops hard rows: prove that it helped. Reason: `label_error`, with the probability of the
    label, the threshold of the class the row looks like, and that class.
    """

    op: Literal["drop_label_errors"] = "drop_label_errors"
    needs: ClassVar[tuple[str, ...]] = ("label",)
    extra: ClassVar[str | None] = "labels"
    imports: ClassVar[tuple[str, ...]] = ("sklearn",)
    column: str = "_embedding"
    """Column of vectors: made by `embed`, or one that came with the data."""
    folds: int = Field(default=5, ge=2, le=20)
    """Parts of the corpus; each is judged by a model of the others."""
    fit_rows: int = Field(default=50_000, ge=100)
    """Most rows the models are fitted to; the others are only judged."""

    def sign(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return key, fold, label and vector."""
        vectors = unit_vectors(rows, self.column)
        return pa.table(
            {
                KEY: rows.keys,
                "fold": (chance.hashes(rows.ids) % np.uint64(self.folds)).astype(np.int64),
                "label": rows.column(rows.columns.label, "label").cast(pa.string()),
                "vector": pa.FixedSizeListArray.from_arrays(vectors.ravel(), vectors.shape[1]),
            }
        )

    def send(self, signed: pa.Table, number: int, shards: int) -> Iterator[Message]:
        """Post the labels and the shard's part of the sample the models are fitted to."""
        hashes = mix(signed[KEY].to_numpy().astype(np.uint64))
        order = np.argsort(hashes, kind="stable")[: self.fit_rows]
        sample = signed.take(pa.array(order)).append_column("hash", pa.array(hashes[order]))
        yield message(WHOLE, "sample", sample)
        labels = pc.unique(signed["label"].drop_null())
        homes = pa.repeat(np.int64(number), max(1, len(labels)))
        labels = labels if len(labels) else pa.array([None], pa.string())
        yield message(WHOLE, "labels", pa.table({HOME: homes, "label": labels}))

    def rounds(self, site: Site) -> tuple[Round, ...]:
        """Return the rounds fit → sum → thresholds → verdicts."""

        def fit(address: str, mail: Mail) -> Iterator[Message]:
            return self._fit(site, mail)

        def add_up(address: str, mail: Mail) -> Iterator[Message]:
            return self._sum(site, home_number(address), mail["models"])

        def judge(address: str, mail: Mail) -> Iterator[Message]:
            return self._judge(site, home_number(address), mail["thresholds"])

        return (
            Round(("sample", "labels"), fit),
            Round(("models",), add_up),
            Round(("sums",), self._threshold),
            Round(("thresholds",), judge),
        )

    def _fit(self, site: Site, mail: Mail) -> Iterator[Message]:
        """Fit one model a fold and store them where every shard can read them."""
        classes = sorted(mail["labels"]["label"].drop_null().unique().to_pylist())
        if len(classes) < 2:
            raise ValueError(
                f"drop_label_errors found {len(classes)} class in the label column; it needs two"
            )
        sample = mail["sample"].sort_by([("hash", "ascending"), (KEY, "ascending")])
        sample = sample.slice(0, self.fit_rows)
        labels = class_numbers(sample["label"], classes)
        models = fit_folds(
            matrix(sample["vector"]),
            labels,
            sample["fold"].to_numpy(),
            self.folds,
            seed=site.chance.seed,
            n_classes=len(classes),
        )
        path = site.store(
            f"models-{site.chance.step}.npz",
            coef=models.coef,
            intercept=models.intercept,
            classes=np.array(classes),
        )
        for number in sorted(set(mail["labels"][HOME].to_pylist())):
            yield message(home(number), "models", pa.table({"path": [path]}))

    def _sum(self, site: Site, number: int, told: pa.Table) -> Iterator[Message]:
        """Sum the confidence of each label over one shard."""
        path = told["path"][0].as_py()
        for _, labels, probabilities in self._probabilities(site, number, path):
            sums = partial_sums(probabilities, labels)
            table = pa.table({"class": np.arange(len(sums.rows)), "total": sums.total})
            table = table.append_column("rows", pa.array(sums.rows))
            table = table.append_column(HOME, pa.repeat(np.int64(number), len(table)))
            yield message(WHOLE, "sums", table.append_column("path", pa.repeat(path, len(table))))

    def _threshold(self, address: str, mail: Mail) -> Iterator[Message]:
        """Turn the sums of all shards into one threshold a class."""
        sums = mail["sums"]
        added = sums.group_by("class").aggregate([("total", "sum"), ("rows", "sum")])
        added = added.sort_by("class")
        bounds = thresholds(
            SelfConfidence(added["total_sum"].to_numpy(), added["rows_sum"].to_numpy())
        )
        table = pa.table({"threshold": bounds})
        table = table.append_column("path", pa.repeat(sums["path"][0], len(table)))
        for number in sorted(set(sums[HOME].to_pylist())):
            yield message(home(number), "thresholds", table)

    def _judge(self, site: Site, number: int, told: pa.Table) -> Iterator[Message]:
        """Decide on the rows of one shard."""
        path, bounds = told["path"][0].as_py(), told["threshold"].to_numpy()
        classes = site.load(path)["classes"]
        for keys, labels, probabilities in self._probabilities(site, number, path):
            issue, suggested = label_issues(probabilities, labels, bounds)
            if not issue.any():
                continue
            at = np.flatnonzero(issue)
            looks = suggested[at]
            surety = probabilities[at, looks]
            verdicts = verdict_table(
                keys[at],
                "label_error",
                value=np.round(probabilities[at, labels[at]], 6),
                threshold=np.round(bounds[looks], 6),
                detail=pa.array(
                    [f"looks like {classes[c]} ({p:.2f})" for c, p in zip(looks, surety, strict=True)]
                ),
            )
            yield from send_home(verdicts, np.full(len(at), number))

    def _probabilities(
        self, site: Site, number: int, path: str
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield keys, class numbers and out-of-fold probabilities of one shard's rows."""
        stored = site.load(path)
        models = FoldModels(stored["coef"], stored["intercept"])
        for rows in site.rows(number):
            signed = self.sign(rows, site.chance)
            labels = class_numbers(signed["label"], stored["classes"].tolist())
            probabilities = predict(models, matrix(signed["vector"]), signed["fold"].to_numpy())
            yield signed[KEY].to_numpy(), labels, probabilities


def class_numbers(labels: pa.ChunkedArray, classes: list[str]) -> np.ndarray:
    """Return the position of each label in `classes`, -1 for a null."""
    found = pc.index_in(labels, pa.array(classes, pa.string()))
    return np.asarray(pc.fill_null(found, -1).to_numpy(), dtype=np.int64)
