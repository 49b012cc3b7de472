"""The training loop: same seed same weights, honest shares of a batch, and clear refusals."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from training.loop.fit import batches, evaluate, fit
from training.loop.optimizers import Muon, hidden_matrices, orthogonalise
from training.loop.schedules import peak_share
from training.recipes import ModelRecipe

torch.set_num_threads(1)
SPARSE = {"model": "linear", "rate": 1.0, "momentum": 0.0}


class Points:
    """Two classes of points on either side of a plane; every batch that is asked for is noted."""

    def __init__(self, rows: int = 64, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.standard_normal((rows, 8)).astype(np.float32)
        self.y = (self.x.sum(axis=1) > 0).astype(np.int64)
        self.asked: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self.x)

    def batch(
        self, where: np.ndarray, rng: np.random.Generator | None
    ) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        self.asked.append(where)
        return (torch.from_numpy(self.x[where]),), torch.from_numpy(self.y[where])


class Bags(Points):
    """Each example is a bag of three buckets out of 32."""

    def batch(
        self, where: np.ndarray, rng: np.random.Generator | None
    ) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        buckets = np.random.default_rng(5).integers(0, 32, (len(self), 3))[where]
        starts = torch.arange(0, 3 * len(where), 3)
        return (torch.from_numpy(buckets.ravel()), starts), torch.from_numpy(self.y[where])


class Tokens(Points):
    """Windows of ten tokens; the next one is always one more."""

    def batch(
        self, where: np.ndarray, rng: np.random.Generator | None
    ) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        text = torch.from_numpy((where[:, None] + np.arange(11)) % 7)
        return (text[:, :-1],), text[:, 1:].contiguous()


def recipe(**change: Any) -> ModelRecipe:
    given = {"model": "cnn", "width": 8, "rate": 0.1, "momentum": 0.9, "batch": 16, "passes": 1}
    return ModelRecipe(**(given | {"least_steps": 1, "most_steps": 1} | change))


def net(seed: int = 0, dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(8, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 16), nn.ReLU(),
        nn.Linear(16, 2),
    )  # fmt: skip


def bag() -> nn.EmbeddingBag:
    torch.manual_seed(0)
    return nn.EmbeddingBag(32, 2, mode="sum", sparse=True)


def weights(model: nn.Module) -> torch.Tensor:
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def trained(change: dict[str, Any] | None = None, steps: int = 20, **options: Any) -> torch.Tensor:
    model = net()
    fit(model, Points(), recipe=recipe(**(change or {})), steps=steps, seed=1, **options)
    return weights(model)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_fit_learns_and_the_same_seed_gives_the_same_bits(optimizer: str) -> None:
    change = {"optimizer": optimizer, "rate": 0.1 if optimizer == "sgd" else 0.02}
    results = []
    for seed in (1, 1, 2):
        model = net(dropout=0.1)
        torch.rand(len(results) + 1)  # fit does not depend on torch's generator before it
        fitted = fit(model, Points(), recipe=recipe(**change), steps=60, seed=seed)
        results.append(weights(model))
    right, losses = evaluate(model, Points())
    assert right.dtype == np.uint8
    assert right.mean() > 0.9
    assert losses.dtype == np.float32
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert fitted.losses[-1][1] < fitted.losses[0][1]
    assert (fitted.steps, fitted.examples, fitted.finite) == (60, 960, True)
    assert fitted.losses[-1][0] == 60
    assert not fitted.stopped_early


def test_fit_reads_every_row_once_a_pass_and_counts_what_it_read() -> None:
    points = Points(rows=64)
    fitted = fit(net(), points, recipe=recipe(batch=24), steps=8, seed=3)
    order = np.concatenate(points.asked)
    assert len(order) == fitted.examples == 192
    for start in range(0, 192, 64):
        assert sorted(order[start : start + 64]) == list(range(64))
    assert not np.array_equal(order[:64], order[64:128])
    assert fitted.bytes_read == 192 * (8 * 4 + 8)


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_batches_are_fresh_draws_without_repeats_in_a_pass(
    rows: int, size: int, data: st.DataObject
) -> None:
    fresh = data.draw(st.none() | st.integers(1, rows))
    order = batches(np.random.default_rng(0), rows, size, fresh)
    found = np.concatenate([next(order) for _ in range(6)])
    passes = fresh or rows
    assert len(found) == 6 * size
    assert set(found) <= set(range(rows))
    for start in range(0, len(found), passes):
        part = found[start : start + passes]
        assert len(set(part)) == len(part)


def test_fresh_rows_differ_from_pass_to_pass_and_reach_all_rows() -> None:
    points = Points(rows=64)
    fit(net(), points, recipe=recipe(batch=16), steps=40, seed=0, fresh=16)
    passes = [frozenset(where) for where in points.asked]
    assert len(set(passes)) > 30
    assert frozenset.union(*passes) == frozenset(range(64))


@pytest.mark.parametrize("change", [{}, {"optimizer": "adamw", "rate": 0.01}, {"clip": 0.1}])
def test_accumulation_equals_the_whole_batch(change: dict[str, Any]) -> None:
    whole = trained(change)
    assert torch.allclose(whole, trained(change | {"accumulate": 5}), atol=1e-5)
    assert not torch.allclose(whole, trained(change | {"batch": 4}), atol=1e-2)


def test_clipping_bounds_the_step() -> None:
    change = {"momentum": 0.0, "warmup": 0.0, "clip": 1e-3, "rate": 0.5}
    moved = (trained(change, steps=1) - weights(net())).norm()
    assert moved == pytest.approx(5e-4, rel=1e-3)


def test_rate_is_a_factor_of_the_recipe() -> None:
    assert torch.equal(trained({"rate": 0.05}), trained({"rate": 0.1}, rate=0.5))


@pytest.mark.parametrize("schedule", ["linear", "cosine", "trapezoid"])
def test_schedules_rise_to_the_peak_and_end_at_zero(schedule: str) -> None:
    given = recipe(schedule=schedule, warmup=0.1)
    rates = np.array([peak_share(given, step, 1000) for step in range(1001)])
    assert rates[-1] == 0
    assert rates[0] == pytest.approx(0.01)
    assert rates.max() == pytest.approx(1)
    assert (np.diff(rates[:100]) > 0).all()
    assert (np.diff(rates[100:]) <= 0).all()
    assert rates[600] == pytest.approx(
        {"linear": 4 / 9, "cosine": 0.413, "trapezoid": 1.0}[schedule], abs=1e-3
    )
    assert peak_share(recipe(schedule=schedule, warmup=0.0), 0, 10) == 1


def test_bf16_is_used_where_asked_for_and_stays_close() -> None:
    seen = []
    model = net()
    model[0].register_forward_hook(lambda *given: seen.append(given[2].dtype))
    fit(model, Points(), recipe=recipe(precision="bf16"), steps=20, seed=1)
    assert set(seen) == {torch.bfloat16}
    assert weights(model).dtype == torch.float32
    assert torch.allclose(weights(model), trained(), atol=0.05)
    assert not torch.equal(weights(model), trained())
    assert torch.equal(trained({"precision": "auto"}), trained({"precision": "fp32"}))


def test_compile_passes_the_model_through_torch_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def compiled(model: nn.Module) -> Any:
        return lambda *inputs: calls.append(1) or model(*inputs)

    monkeypatch.setattr(torch, "compile", compiled)
    assert torch.equal(trained({"compile": True}), trained())
    assert len(calls) == 19  # all but the first step, whose operations are counted


def test_smoothing_keeps_logits_small() -> None:
    assert trained({"smoothing": 0.3}, 100).norm() < trained({}, 100).norm()


def test_early_stopping_keeps_the_best_weights_and_says_so() -> None:
    model, answers, seen = net(), iter([3.0, 4.0, 1.0, 2.0, 4.0, 0.0]), []

    def validate(given: nn.Module) -> float:
        assert not given.training
        seen.append(weights(given).clone())
        return next(answers)

    fitted = fit(model, Points(), recipe=recipe(patience=2), steps=200, seed=1, validate=validate)
    assert (fitted.steps, fitted.stopped_early) == (50, True)
    assert torch.equal(weights(model), seen[2])


def test_validation_is_not_asked_without_patience() -> None:
    trained(validate=lambda model: pytest.fail("validated"))


def test_the_last_weights_can_win_on_validation() -> None:
    losses = iter(range(100, 0, -1))
    change = {"patience": 1}
    assert torch.equal(
        trained(change, steps=50, validate=lambda model: next(losses)), trained(steps=50)
    )


def test_an_infinite_loss_ends_training_and_is_said() -> None:
    points = Points()
    points.x[:] = np.nan
    fitted = fit(net(), points, recipe=recipe(), steps=50, seed=0)
    assert not fitted.finite
    assert fitted.steps == 1
    assert fitted.losses == ()
    assert not fitted.stopped_early


def test_sparse_embedding_bags_train_with_momentum() -> None:
    for momentum in (0.0, 0.9):
        model = bag()
        change = SPARSE | {"momentum": momentum, "accumulate": 2}
        fitted = fit(model, Bags(), recipe=recipe(**change), steps=80, seed=0)
        assert fitted.losses[-1][1] < 0.75 * fitted.losses[0][1]


def test_next_tokens_are_learnt_at_every_position() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(7, 16), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 7))
    change = recipe(optimizer="muon", rate=0.02, accumulate=2)
    fitted = fit(model, Tokens(), recipe=change, steps=60, seed=0)
    assert fitted.losses[0][1] > 1
    assert fitted.losses[-1][1] < 0.1


def test_orthogonalised_singular_values_are_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((32, 8), (8, 32), (16, 16)):
        matrix = torch.randn(shape)
        u, _, v = torch.linalg.svd(matrix, full_matrices=False)
        found = orthogonalise(matrix)
        assert found.shape == matrix.shape
        assert (u.T @ found @ v.T).diagonal().median() > 0.65
        assert torch.linalg.svdvals(found).max() < 1.3


@pytest.mark.skipif(
    not hasattr(torch.optim, "Muon"), reason="torch < 2.9 has no Muon to agree with"
)
def test_muon_takes_the_steps_of_torch_muon() -> None:
    torch.manual_seed(0)
    ours = nn.Parameter(torch.randn(24, 16))
    theirs = nn.Parameter(ours.detach().clone())
    before = ours.detach().clone()
    optimizers = (
        Muon([ours], lr=0.02, momentum=0.9, weight_decay=0.1),
        torch.optim.Muon(
            [theirs], lr=0.02, momentum=0.9, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"
        ),
    )
    for _ in range(5):
        ours.grad = torch.randn(24, 16)
        theirs.grad = ours.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    # torch works in bf16
    assert (ours - theirs).norm() < 0.02 * (ours - before).norm()


def test_muon_takes_hidden_matrices_only() -> None:
    model = nn.Sequential(
        nn.Embedding(9, 8), nn.Conv1d(8, 8, 3), nn.LayerNorm(8), nn.Linear(8, 8), nn.Linear(8, 9)
    )
    assert [id(w) for w in hidden_matrices(model)] == [id(model[1].weight), id(model[3].weight)]
    tied = copy.deepcopy(model)
    tied[4].weight = tied[0].weight
    assert [id(w) for w in hidden_matrices(tied)] == [id(tied[1].weight), id(tied[3].weight)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"optimizer": "adamw"}, "optimizer: adamw given for 'linear', whose gradients are sparse"),
        ({"optimizer": "muon"}, "optimizer: muon"),
        ({"clip": 1.0}, "clip: 1.0"),
        ({"weight_decay": 0.1}, "weight_decay: 0.1"),
    ],
)
def test_sparse_gradients_are_refused_what_they_cannot_do(
    change: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        fit(bag(), Bags(), recipe=recipe(**(SPARSE | change)), steps=1, seed=0)


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        ({}, {"fresh": 65}, "fresh: 65 given; allowed is 1 to 64"),
        ({"accumulate": 17}, {}, "batch: 16 given; accumulate 17 on 1 processes"),
        ({"patience": 3}, {}, "patience: 3 given without validation"),
        ({}, {"steps": 0}, "steps: 0 given"),
    ],
)
def test_fit_refuses_what_does_not_go_together(
    change: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        trained(change, **options)


def test_muon_refuses_a_model_without_hidden_matrices() -> None:
    with pytest.raises(ValueError, match="muon given for Linear, which has no hidden matrices"):
        fit(nn.Linear(8, 2), Points(), recipe=recipe(optimizer="muon"), steps=1, seed=0)


def test_evaluate_scores_rows_in_order_across_batches() -> None:
    points = Points(rows=2500)
    model = net()
    right, losses = evaluate(model, points)
    with torch.inference_mode():
        logits = model(torch.from_numpy(points.x))
    y = torch.from_numpy(points.y)
    assert np.array_equal(right, (logits.argmax(1) == y).numpy())
    assert np.allclose(losses, nn.functional.cross_entropy(logits, y, reduction="none"), atol=1e-6)
