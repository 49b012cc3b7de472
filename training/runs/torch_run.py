"""One run of a bundled torch model: build, fit, evaluate once, and say what it took."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from training.design.arms import Arm
from training.design.plan import TrainingJob
from training.loop import distributed
from training.loop.cost import Meter
from training.loop.fit import evaluate, fit
from training.nets.gpt import document_bits, gpt
from training.nets.models import Labelled, build_model, inputs
from training.nets.windows import Windows
from training.pool.data import PoolRows
from training.pool.tokens import Documents, bpe_documents
from training.recipes import ModelRecipe
from training.runs.bench import Bench, Outcome
from training.runs.language import clipped, load_documents, load_tokenizer, per_byte
from training.runs.runs import weights_file


def torch_run(
    bench: Bench, arm: Arm, rows: PoolRows, recipe: ModelRecipe, job: TrainingJob
) -> Outcome:
    """Train `rows` with `recipe` and score every test set once, after the last step."""
    seed = job.seed + arm.seed_offset
    torch.manual_seed(seed)
    learner = learner_for(bench, recipe, arm)
    meter = Meter(bench.device)
    model = learner.model().to(bench.device)
    fitted = fit(
        model,
        learner.examples(rows, seed),
        recipe=recipe,
        steps=bench.setup.steps_of(arm, job),
        seed=seed,
        fresh=len(learner.examples(bench.sources.rows[arm.fresh], seed)) if arm.fresh else None,
        validate=learner.validation if recipe.patience else None,
        rate=job.rate,
    )
    scores, losses = {}, {}
    for name, test in bench.tests.items():
        scores[name], loss = learner.score(model, test)
        if loss is not None:
            losses[name] = loss
    weights = learner.weights(bench.tests)
    if job.main and arm.name in bench.setup.keep and distributed.rank() == 0:
        state = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
        torch.save(state, weights_file(bench.out, bench.setup.plan_hash, job))
    facts = {
        "steps": fitted.steps,
        "n_seen": fitted.examples,
        "n_allowed": bench.setup.steps_of(arm, job) * recipe.batch,
        "finite": fitted.finite,
        "stopped_early": fitted.stopped_early,
        "device": bench.device.type,
        "torch": torch.__version__,
        **meter.cost(fitted),
    }
    return Outcome(scores, losses, facts, weights)


def learner_for(bench: Bench, recipe: ModelRecipe, arm: Arm) -> Classes | Language:
    """Return what knows the models, examples and scores of the bench's task."""
    kind = Language if bench.setup.task == "language_modelling" else Classes
    return kind(bench, recipe, arm)


class Classes:
    """Classification: an example is a row."""

    def __init__(self, bench: Bench, recipe: ModelRecipe, arm: Arm) -> None:
        self.bench, self.recipe = bench, recipe
        folder = bench.cache / ("warm" if arm.recipe == "warm" else "main")
        self.folder = folder
        self.inputs = inputs(folder, recipe)

    def model(self) -> nn.Module:
        """Return a fresh model; the caller seeds torch first."""
        return self.build(self.recipe)

    def build(self, recipe: ModelRecipe) -> nn.Module:
        """Return a fresh model of another recipe on the same inputs."""
        return build_model(recipe, self.folder, self.bench.setup.labels)

    def examples(self, rows: PoolRows, seed: int) -> Labelled:
        """Return rows as the training loop reads them."""
        return Labelled(self.inputs, rows.x, rows.y)

    def validation(self, model: nn.Module) -> float:
        """Return the mean log loss on the validation rows."""
        held = self.bench.tests["validation"]
        return float(evaluate(model, self.examples(held, 0))[1].mean())

    def score(self, model: nn.Module, test: PoolRows) -> tuple[Any, Any]:
        """Return (1 or 0, log loss in nats) of each test row."""
        right, losses = evaluate(model, self.examples(test, 0))
        # A model that answers NaN has no score: a wrong answer would hide it.
        return np.where(np.isfinite(losses), right, np.nan), losses

    def weights(self, tests: Mapping[str, PoolRows]) -> dict[str, Any]:
        """Every row counts alike."""
        return {}


class Language:
    """Language modelling: an example is a window of text."""

    def __init__(self, bench: Bench, recipe: ModelRecipe, arm: Arm) -> None:
        self.recipe = recipe
        self.bench = bench
        self.documents, self.vocabulary = load_documents(bench.cache, recipe)
        self.bytes = Documents.load(bench.cache, "bytes")
        self.tokenizer = load_tokenizer(bench.cache) if recipe.model == "gpt-bpe" else None

    def model(self) -> nn.Module:
        """Return a fresh model; the caller seeds torch first."""
        return self.build(self.recipe)

    def build(self, recipe: ModelRecipe) -> nn.Module:
        """Return a fresh model of another recipe on the same tokens."""
        return gpt(recipe, self.vocabulary + 1)

    def examples(self, rows: PoolRows, seed: int) -> Windows:
        """Return windows of the rows' text, in an order of this seed."""
        return Windows(
            self.documents, rows.x, end=self.vocabulary, context=self.recipe.context, seed=seed
        )

    def validation(self, model: nn.Module) -> float:
        """Return bits per byte of the validation rows."""
        held = self.bench.tests["validation"]
        lengths = clipped(self.bytes, held).lengths()
        return -float(np.average(self.score(model, held)[0], weights=lengths))

    def score(self, model: nn.Module, test: PoolRows) -> tuple[Any, None]:
        """Return minus the bits per byte of each test document."""
        chosen = self._tested(test)
        bits = document_bits(model, *chosen, end=self.vocabulary, context=self.recipe.context)
        return per_byte(bits, clipped(self.bytes, test).lengths()), None

    def _tested(self, test: PoolRows) -> Documents:
        """Return a test set's documents in the tokens of the model, as long as bytes are scored."""
        if self.tokenizer is None:
            return clipped(self.documents, test)
        flat, offsets = clipped(self.bytes, test)
        texts = [
            bytes(flat[start:end]).decode("utf-8", "ignore")
            for start, end in itertools.pairwise(offsets)
        ]
        return bpe_documents(self.tokenizer, pa.array(texts, pa.large_string()))

    def weights(self, tests: Mapping[str, PoolRows]) -> dict[str, Any]:
        """Return the bytes of each row."""
        return {name: clipped(self.bytes, test).lengths() for name, test in tests.items()}
