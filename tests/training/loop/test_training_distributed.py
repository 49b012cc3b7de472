"""Two gloo processes do what one does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from training.loop import distributed
from training.loop.fit import fit
from training.recipes import ModelRecipe

torch.set_num_threads(1)
HERE = Path(__file__)
SGD: dict[str, Any] = {"momentum": 0.9, "weight_decay": 5e-4, "clip": 1.0}
CASES: dict[str, dict[str, Any]] = {
    "sgd": SGD,
    "uneven shares": SGD | {"batch": 15},
    "accumulate": SGD | {"accumulate": 3},
    "adamw": {"optimizer": "adamw", "rate": 0.01, "schedule": "cosine"},
    "stopped early": SGD | {"patience": 1},
}


class Pictures:
    """Generated grey pictures of 8×8 in two classes."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.y = np.arange(96) % 2
        self.x = rng.standard_normal((96, 1, 8, 8)).astype(np.float32)
        self.x[self.y == 1, :, :4] += 1

    def __len__(self) -> int:
        return len(self.y)

    def batch(
        self, where: np.ndarray, rng: np.random.Generator | None
    ) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        return (torch.from_numpy(self.x[where]),), torch.from_numpy(self.y[where])


def run(case: str, seed_of_model: int = 0) -> dict[str, np.ndarray]:
    """Train and test one case; return final weights, losses of all rows and counts."""
    torch.manual_seed(seed_of_model)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(128, 2),
    ).to(memory_format=torch.channels_last)  # fmt: skip
    pictures, worse = Pictures(), iter([1.0, 2.0, 3.0])
    given = {"model": "cnn", "width": 8, "rate": 0.05, "batch": 16, "passes": 1}
    recipe = ModelRecipe(**(given | {"least_steps": 1, "most_steps": 1} | CASES[case]))
    fitted = fit(model, pictures, recipe=recipe, steps=30, seed=1, validate=lambda _: next(worse))
    (x,), y = pictures.batch(np.arange(96), None)
    with torch.inference_mode():
        losses = nn.functional.cross_entropy(model(x), y, reduction="none").numpy()
    return {
        "weights": torch.cat([w.detach().flatten() for w in model.parameters()]).numpy(),
        "losses": losses,
        "counts": np.array([fitted.steps, fitted.examples, fitted.flops, fitted.bytes_read]),
        "train_losses": np.array(fitted.losses),
    }


def rank_main(out: Path) -> None:
    """Be one of the processes of the test below."""
    with distributed.process_group() as device:
        rank = distributed.rank()
        assert device.type == "cpu"
        assert distributed.broadcast({"jobs from": rank}) == {"jobs from": 0}
        found = {case: run(case, seed_of_model=rank) for case in CASES}  # rank 0's weights count
        flat = {f"{case}/{name}": v for case, kept in found.items() for name, v in kept.items()}
        norm = nn.BatchNorm1d(2)
        norm.running_mean.fill_(rank)
        distributed.average_statistics(norm)
        flat["statistics"] = norm.running_mean.numpy()
        bag = nn.EmbeddingBag(8, 2, sparse=True)
        recipe = ModelRecipe(
            model="linear", width=8, rate=1, batch=8, passes=1, least_steps=1, most_steps=1
        )
        try:
            fit(bag, Pictures(), recipe=recipe, steps=1, seed=0)
        except ValueError as error:
            flat["refusal"] = np.array(str(error))
        np.savez(out / f"{rank}.npz", **flat)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, np.ndarray]]:
    """What each of two processes started by torchrun ends with."""
    out = tmp_path_factory.mktemp("ranks")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*torchrun, "--nproc-per-node", "2", str(HERE), str(out)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[3])},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    found = []
    for rank in range(2):
        with np.load(out / f"{rank}.npz") as file:
            found.append(dict(file))
    return found


@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one(case: str, ranks: list[dict[str, np.ndarray]]) -> None:
    one = run(case)
    assert np.array_equal(ranks[0][f"{case}/weights"], ranks[1][f"{case}/weights"])
    for name, value in one.items():
        np.testing.assert_allclose(ranks[0][f"{case}/{name}"], value, atol=1e-5, rtol=1e-5)
    assert np.ptp(one["losses"]) > 0.1


def test_statistics_of_batch_norms_are_averaged(ranks: list[dict[str, np.ndarray]]) -> None:
    assert ranks[0]["statistics"].tolist() == ranks[1]["statistics"].tolist() == [0.5, 0.5]


def test_sparse_gradients_are_refused_over_processes(ranks: list[dict[str, np.ndarray]]) -> None:
    assert "processes: 2 given for 'linear', whose gradients are sparse" in str(ranks[0]["refusal"])


def test_a_process_of_its_own_needs_no_group() -> None:
    with distributed.process_group(number=3) as device:
        assert device == torch.device("cpu") or device.type == "cuda"
        assert (distributed.rank(), distributed.world()) == (0, 1)
        assert distributed.broadcast("job") == "job"


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    with (
        pytest.raises(ValueError, match="rank 1 has no GPU of its own; start at most 1"),
        distributed.process_group(),
    ):
        pass


if __name__ == "__main__":
    rank_main(Path(sys.argv[1]))
    os._exit(0)  # what was asked is written; threads of gloo may abort an orderly exit
