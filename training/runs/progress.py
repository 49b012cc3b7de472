"""What is told while runs go on: how far, how long still, and the estimate without the test set."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

from training.design.plan import is_main
from training.statistics.stats import t_quantile


@dataclass(frozen=True)
class Progress:
    """One moment of a proof."""

    done: int
    total: int
    what: str
    """What has just been done."""
    seconds: float
    """Since the first run."""
    left: float | None
    """Expected seconds to the end; None before the first run is timed."""
    estimate: float | None
    """Current gap curated − raw on the validation rows, never on a test set."""
    ci95: tuple[float, float] | None
    """Over seeds; None with fewer than two whole pairs."""
    metric: str


Told = Callable[[Progress], None]


@dataclass
class Watch:
    """Keeps count of the runs of a proof and tells about them."""

    total: int
    workers: int
    metric: str
    told: Told | None
    done: int = 0
    trained: int = 0
    warm_up: float = 0.0
    started: float = field(default_factory=time.perf_counter)
    raw: dict[int, float] = field(default_factory=dict)
    curated: dict[int, float] = field(default_factory=dict)

    def found(self, records: Iterable[dict[str, Any]]) -> None:
        """Take in the runs that were already there."""
        for record in records:
            self.done += 1
            self._pair(record)
        self.say(f"{self.done:,} of {self.total:,} runs already there")

    def finished(self, record: dict[str, Any], what: str) -> None:
        """Take in a run that has just been made."""
        self.done += 1
        self.trained += 1
        if self.trained == self.workers:
            self.warm_up = time.perf_counter() - self.started
        self._pair(record)
        self.say(what)

    def say(self, what: str) -> None:
        """Tell how things stand."""
        if self.told is None:
            return
        seconds = time.perf_counter() - self.started
        # The first run of each worker starts a process and imports torch: no measure of the rest.
        left = None
        if self.trained > self.workers or self.done == self.total:
            warm = self.trained - self.workers
            left = (seconds - self.warm_up) / max(warm, 1) * (self.total - self.done)
        estimate, interval = self._estimate()
        self.told(
            Progress(self.done, self.total, what, seconds, left, estimate, interval, self.metric)
        )

    def _pair(self, record: dict[str, Any]) -> None:
        pairs = {"raw": self.raw, "curated": self.curated}.get(record["arm"])
        if is_main(record) and pairs is not None and record.get("validation") is not None:
            pairs[record["seed"]] = record["validation"]

    def _estimate(self) -> tuple[float | None, tuple[float, float] | None]:
        gaps = [
            self.curated[seed] - self.raw[seed] for seed in self.raw.keys() & self.curated.keys()
        ]
        if not gaps:
            return None, None
        mean = fmean(gaps)
        if len(gaps) < 2:
            return mean, None
        half = t_quantile(0.975, len(gaps) - 1) * stdev(gaps) / len(gaps) ** 0.5
        return mean, (mean - half, mean + half)
