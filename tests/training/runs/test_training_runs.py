from training.runs import runs


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
