"""What a run costs: time, floating-point operations, bytes, memory and, where told, energy."""

from __future__ import annotations

import resource
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

if TYPE_CHECKING:
    from training.loop.fitted import Fitted

RAPL = Path("/sys/class/powercap")
STATUS = Path("/proc/self/status")


def flop_counter() -> FlopCounterMode:
    """Return a context that counts floating-point operations; a multiply-add is two.

    Counted: matrix products, convolutions, attention and embedding bags, forward and backward,
    and the products in Muon. Not counted: elementwise work, norms, pooling, look-ups in plain
    embeddings, other optimizers, and reading or augmenting examples. torch's counter knows
    neither attention on a CPU nor embedding bags: those formulas are ours.
    """
    aten = torch.ops.aten
    return FlopCounterMode(
        display=False,
        custom_mapping={
            aten._embedding_bag: _bag_flops,
            aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
            aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward_flops,
        },
    )


Shape = tuple[int, ...]


def _bag_flops(table: Shape, indices: Shape, *_: Any, **__: Any) -> int:
    """Count a multiply-add for each number of a looked-up row, and one more in its gradient."""
    return 4 * indices[0] * table[1]


def _attention_flops(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


def _attention_backward_flops(
    gradient: Shape, query: Shape, key: Shape, value: Shape, *_: Any, **__: Any
) -> int:
    return int(sdpa_backward_flop_count(gradient, query, key, value))


class Meter:
    """Measures a run from its construction to `cost`.

    Args:
        device: where the run trains; peak memory of a GPU is counted from here on.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self._joules = _counters(device)
        self._seconds = time.perf_counter()
        self._cpu_seconds = time.process_time()

    def cost(self, fitted: Fitted) -> dict[str, Any]:
        """Return the cost of the run, as its record holds it.

        `seconds` and `cpu_seconds` span the whole run, `train_seconds` what `fit` took.
        `bytes_read` is what the model was given, as tensors. `peak_memory_bytes` is the process'
        since it started, earlier runs included. `joules` is what processors and this run's GPU
        drew meanwhile, whoever used them, or None where the platform does not tell: divide by
        the number of runs at once.
        """
        on_gpu = self.device.type == "cuda"
        return {
            "seconds": round(time.perf_counter() - self._seconds, 3),
            "cpu_seconds": round(time.process_time() - self._cpu_seconds, 3),
            "train_seconds": round(fitted.seconds, 3),
            "flops": fitted.flops,
            "bytes_read": fitted.bytes_read,
            "peak_memory_bytes": peak_memory(),
            "gpu_peak_memory_bytes": (
                torch.cuda.max_memory_allocated(self.device) if on_gpu else None
            ),
            "joules": _joules(self._joules, _counters(self.device)),
        }


def peak_memory() -> int:
    """Return the largest resident size of this process since it started, in bytes."""
    if STATUS.exists():  # ru_maxrss of a child starts at its parent's
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


Counters = dict[str, tuple[float, float]]
"""Joules so far, and where the counter starts again from zero, by the part of the machine."""


def _counters(device: torch.device) -> Counters:
    return processor_energy(RAPL) | (gpu_energy(device) if device.type == "cuda" else {})


def _joules(before: Counters, after: Counters) -> float | None:
    if not before:
        return None
    used = (
        joules - before[part][0] + (wraps if joules < before[part][0] else 0.0)
        for part, (joules, wraps) in after.items()
    )
    return round(sum(used), 3)


def processor_energy(folder: Path) -> Counters:
    """Read the energy counters of processor packages (RAPL); empty where there are none to read.

    Linux on x86 only, and most systems let root alone read them. A counter starts again from zero
    every few minutes to an hour; a run longer than that is understated.
    """
    found = {}
    for zone in sorted(folder.glob("intel-rapl:*")):
        try:
            name = (zone / "name").read_text().strip()
            if name.startswith("package"):  # the others are parts of a package
                joules, wraps = (
                    int((zone / file).read_text()) / 1e6
                    for file in ("energy_uj", "max_energy_range_uj")
                )
                found[zone.name] = (joules, wraps)
        except PermissionError:
            return {}
    return found


def gpu_energy(device: torch.device) -> Counters:
    """Read the energy counter of a GPU through NVML, from package nvidia-ml-py; else empty."""
    try:
        nvml: Any = import_module("pynvml")
    except ImportError:
        return {}
    nvml.nvmlInit()
    uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
    return {uuid: (nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3, 0.0)}
