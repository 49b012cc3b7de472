import tracemalloc

import numpy as np
import pytest

from training import cache, runs


def test_scale_is_that_of_the_pixels_without_a_float_copy():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (500, 3, 16, 16), dtype=np.uint8)
    pixels[:, 2] = 7
    rows = rng.integers(0, 500, 2_000)
    tracemalloc.start()
    found = cache.scale(pixels, rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    chosen = pixels[rows]
    assert found.shape == (2, 3, 1, 1)
    assert found[0, :, 0, 0] == pytest.approx(chosen.mean(axis=(0, 2, 3)))
    assert found[1, :2, 0, 0] == pytest.approx(chosen.std(axis=(0, 2, 3))[:2])
    assert found[1, 2, 0, 0] == 1
    assert peak < pixels.nbytes


def test_one_worker_a_gpu_by_default(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text(
        "class cuda:\n    device_count = lambda: 3\nprint('a library says hello')"
    )
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert runs.default_workers() == 3


def test_one_worker_a_core_without_a_gpu(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("class cuda:\n    device_count = lambda: 0")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(runs.shutil, "which", lambda name: name)
    monkeypatch.setattr(runs.os, "sched_getaffinity", lambda pid: {0, 1, 2, 3, 4}, raising=False)
    assert runs.default_workers() == 5
