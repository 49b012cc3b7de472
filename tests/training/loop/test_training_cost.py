"""What a run cost, against counts made by hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional

from training.loop import cost
from training.loop.cost import Meter, flop_counter, gpu_energy, peak_memory, processor_energy
from training.loop.fitted import Fitted

torch.set_num_threads(1)
FITTED = Fitted(10, 160, 1.5, 1_000, 640, False, True, ((10, 0.5),))


def test_flops_of_linear_layers_are_two_a_multiply_add_and_twice_again_backward() -> None:
    first, second = nn.Linear(8, 16), nn.Linear(16, 4)
    with flop_counter() as counter:
        second(first(torch.randn(32, 8))).sum().backward()
    forward = 2 * 32 * (8 * 16 + 16 * 4)
    of_weights, of_inputs = forward, 2 * 32 * 16 * 4  # the data itself needs no gradient
    assert counter.get_total_flops() == forward + of_weights + of_inputs


@pytest.mark.parametrize("sparse", [True, False])
def test_flops_of_embedding_bags_are_counted(sparse: bool) -> None:
    bag = nn.EmbeddingBag(100, 5, mode="sum", sparse=sparse)
    with flop_counter() as counter:
        bag(torch.arange(20), torch.tensor([0, 10])).sum().backward()
    assert counter.get_total_flops() == 2 * 2 * 20 * 5


def test_flops_of_attention_are_counted_on_a_cpu() -> None:
    query, key, value = (torch.randn(2, 4, 16, 8, requires_grad=True) for _ in range(3))
    with flop_counter() as counter:
        functional.scaled_dot_product_attention(query, key, value, is_causal=True).sum().backward()
    product = 2 * (2 * 4) * 16 * 16 * 8
    assert counter.get_total_flops() == 2 * product + 5 * product  # backward scores once more


def test_cost_holds_the_fields_of_the_record_and_no_more() -> None:
    meter = Meter(torch.device("cpu"))
    sum(range(200_000))
    found = meter.cost(FITTED)
    assert (found["flops"], found["bytes_read"], found["train_seconds"]) == (1_000, 640, 1.5)
    assert found["gpu_peak_memory_bytes"] is None
    assert 0 < found["seconds"] < 60
    assert 0 < found["cpu_seconds"] < 60
    assert set(found) == {
        "seconds", "cpu_seconds", "train_seconds", "flops", "bytes_read", "peak_memory_bytes",
        "gpu_peak_memory_bytes", "joules",
    }  # fmt: skip


def test_peak_memory_grows_with_what_is_held() -> None:
    before = peak_memory()
    held = torch.ones(before // 4 + 50_000_000)
    assert peak_memory() - before > 100_000_000
    del held


def zone(folder: Path, name: str, joules: float, number: str) -> None:
    place = folder / f"intel-rapl:{number}"
    place.mkdir(exist_ok=True)
    (place / "name").write_text(name + "\n")
    (place / "energy_uj").write_text(f"{round(joules * 1e6)}\n")
    (place / "max_energy_range_uj").write_text("1000000000\n")


def test_joules_are_the_packages_and_survive_a_counter_that_wraps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "RAPL", tmp_path)
    zone(tmp_path, "package-0", 990, "0")
    zone(tmp_path, "core", 500, "0:0")
    zone(tmp_path, "package-1", 100, "1")
    meter = Meter(torch.device("cpu"))
    zone(tmp_path, "package-0", 5, "0")
    zone(tmp_path, "core", 510, "0:0")
    zone(tmp_path, "package-1", 102.5, "1")
    assert meter.cost(FITTED)["joules"] == 17.5


def test_joules_are_none_where_the_platform_does_not_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "RAPL", tmp_path / "absent")
    assert Meter(torch.device("cpu")).cost(FITTED)["joules"] is None


def test_counters_that_may_not_be_read_tell_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone(tmp_path, "package-0", 1, "0")

    def refused(*_: object) -> str:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", refused)
    assert processor_energy(tmp_path) == {}


def test_energy_of_a_gpu_is_asked_of_nvml_by_its_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cuda:1")
    nvml = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: {"GPU-abc": 2_500}[handle],
    )
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="abc"))
    monkeypatch.setitem(__import__("sys").modules, "pynvml", nvml)
    assert gpu_energy(device) == {"GPU-abc": (2.5, 0.0)}
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    assert gpu_energy(device) == {}
