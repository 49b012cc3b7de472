"""How a score is written for people: accuracy in points, bits per byte, or as it stands."""

from dataclasses import dataclass

Interval = tuple[float, float]


@dataclass(frozen=True)
class Metric:
    """A score of which more is always better, and how to show it and its differences.

    A loss is stored with its sign turned, so that a positive gap is a gain in every metric.
    """

    name: str
    unit: str
    """Of a difference."""
    scale: float = 1.0
    """What a difference is multiplied by to be shown."""
    decimals: int = 3
    turned: bool = False
    """The score is minus what is shown: fewer bits are better."""

    def value(self, score: float | None) -> str:
        """Write one score, such as "66.5 %" or "2.744"."""
        if score is None:
            return "–"
        if self is ACCURACY:
            return f"{100 * score:.1f} %"
        return f"{-score if self.turned else score:.{self.decimals}f}".replace("-", "−")

    def gap(self, value: float, *, sign: bool = True) -> str:
        """Write a difference with its unit, such as "+8.1 points"."""
        return f"{self.bare(value, sign=sign)} {self.unit}"

    def span(self, interval: Interval) -> str:
        """Write an interval of a difference, such as "+6.9 to +9.3"."""
        return f"{self.bare(interval[0])} to {self.bare(interval[1])}"

    def bare(self, value: float, *, sign: bool = True) -> str:
        """Write a difference without its unit; a small one gets a decimal more."""
        plus = "+" if sign else ""
        text = f"{self.scale * value:{plus}.{self.decimals}f}"
        if text.strip("+-0.") == "":
            text = f"{self.scale * value:{plus}.{self.decimals + 1}f}"
        return "0" if text.strip("+-0.") == "" else text.replace("-", "−")


ACCURACY = Metric("accuracy", "points", scale=100, decimals=1)
BITS = Metric("bits per byte", "bits per byte saved", turned=True)


def metric_named(name: str) -> Metric:
    """Return a known metric, or one that is shown as it stands."""
    known = {metric.name: metric for metric in (ACCURACY, BITS)}
    return known.get(name) or Metric(name, f"of {name}", decimals=4)
