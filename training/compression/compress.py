"""Make a trained model smaller in several ways, and measure what each way costs and gives."""

from collections.abc import Mapping

import numpy as np
import torch

from training.arrays import FloatArray
from training.compression.candidates import BATCH, Ways
from training.compression.latency import latencies, parameters, saved_bytes
from training.compression.prune import zero_weights
from training.compression.trained import Candidate, CompressionBudget, Trained, device_of, inputs_of
from training.errors import UserError
from training.page.pareto import Compression, Latency, OperatingPoint, mark_fronts
from training.statistics.stats import estimate

__all__ = ["CompressionBudget", "Trained", "compress"]

TIMED = 16
"""Different inputs that are timed in turn."""
ZEROS = 0.9
"""Share of weights set to zero to show that it gives no speed."""
DEFAULT = CompressionBudget()


def compress(
    trained: Trained, budget: CompressionBudget = DEFAULT, *, seconds: float = 3.0
) -> Compression:
    """Return operating points of a trained model: size, latency and quality, measured.

    Ways: int8 in the file, int8 products, low-rank layers, channels or hash buckets taken out, and
    a narrower student, distilled and on labels alone. A student's baseline spends on steps of its
    own what the teacher's forward passes cost. Ranks and kept shares are fixed in advance or chosen
    on the first seed's training data; no choice looks at the test set. Runs on the models' device.

    Costs for each seed 2·`fine_tune` + 2·`student` of a training run and about ten evaluations, and
    about `seconds` of timing at each of two batch sizes.

    Raises:
        UserError: fewer than two seeds: a gap has no interval.
    """
    if len(trained.models) < 2:
        raise UserError(
            f"models: {len(trained.models)} given; at least 2 seeds are needed for an interval"
        )
    inputs = inputs_of(trained.test, BATCH, device_of(trained))
    ways = Ways(trained, inputs, budget)
    candidates = [
        Candidate("uncompressed", "As trained, in float32.", list(trained.models), ways.macs)
    ]
    for way in (ways.int8, ways.low_rank, ways.channels, ways.buckets, ways.students):
        candidates += way()
    return _measure(trained, candidates, ways.left_out, seconds)


def _measure(
    trained: Trained, candidates: list[Candidate], left_out: dict[str, str], seconds: float
) -> Compression:
    device = device_of(trained)
    timed = {candidate.name: candidate.models[0] for candidate in candidates}
    timed["zeros"] = zero_weights(trained.models[0], ZEROS)
    single = [inputs_of(trained.test, 1, device, seed=turn) for turn in range(TIMED)]
    batched = [inputs_of(trained.test, BATCH, device, seed=turn) for turn in range(TIMED)]
    one, many = (latencies(timed, inputs, seconds=seconds) for inputs in (single, batched))
    tables = [
        np.stack([trained.score(model) for model in candidate.models]) for candidate in candidates
    ]
    points = []
    for candidate, table in zip(candidates, tables, strict=True):
        first = candidate.models[0]
        gap = estimate(table - tables[0]) if candidate is not candidates[0] else None
        points.append(
            OperatingPoint(
                name=candidate.name,
                how=candidate.how,
                parameters=parameters(first),
                macs=candidate.macs,
                bytes=saved_bytes(candidate.state or first.state_dict()),
                latency_1=_latency(1, one[candidate.name]),
                latency_n=_latency(BATCH, many[candidate.name]),
                scores=[float(row.mean()) for row in table],
                mean=float(table.mean()),
                gap=gap.mean if gap else None,
                ci95=gap.interval() if gap else None,
                extra_flops=candidate.extra_flops,
            )
        )
    rounds = len(one["zeros"]), len(many["zeros"])
    return Compression(
        points=mark_fronts(points),
        seeds=len(trained.models),
        test_rows=tables[0].shape[1],
        rounds=rounds,
        device=device.type,
        threads=torch.get_num_threads(),
        zeros=_zeros(one, many),
        left_out=left_out,
    )


def _zeros(one: Mapping[str, FloatArray], many: Mapping[str, FloatArray]) -> str:
    ratios = [
        float(np.median(taken["zeros"]) / np.median(taken["uncompressed"])) for taken in (one, many)
    ]
    return (
        f"With {100 * ZEROS:g} % of each matrix set to zero the median pass takes {ratios[0]:.2f} "
        f"times as long at batch 1 and {ratios[1]:.2f} times at batch {BATCH}: a dense product "
        "multiplies zeros like other numbers."
    )


def _latency(batch: int, taken: FloatArray) -> Latency:
    p50, p95 = np.quantile(taken, (0.5, 0.95))
    return Latency(batch=batch, p50=float(p50), p95=float(p95))
