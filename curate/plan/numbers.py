"""Numbers as people type them: `1e9` or `10M` rows, `10TB`, `0.7..0.95:0.05`."""

import re
from decimal import Decimal, InvalidOperation

from curate.recipe.recipe import parse_size
from pipelines.errors import UserError

COUNTS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}
MOST_VALUES = 50
EVENLY = 6
"""Values of a range without a step."""


def parse_count(text: str) -> int:
    """Return a number of rows from `1000000`, `1e6`, `1M` or `10B` (billions).

    Raises:
        UserError: neither, or less than 1.
    """
    found = re.fullmatch(r"\s*(\d[\d_,]*(?:\.\d+)?(?:[eE]\d+)?)\s*([kMGBT]?)\s*", text)
    count = 0
    if found is not None:
        count = round(float(re.sub("[_,]", "", found[1])) * COUNTS[found[2]])
    if count < 1:
        raise UserError(f"not a number of rows (got {text!r}); write 1000000, 1e6 or 1M")
    return count


def parse_bytes(text: str) -> int:
    """Return bytes from `10TB`, `2kB`, `64MiB` or a plain number.

    Raises:
        UserError: none of these, or less than 1.
    """
    size = parse_size(text)
    assert isinstance(size, int), "a text is parsed to a whole number"
    if size < 1:
        raise UserError(f"not a size (got {text!r}): at least 1 byte")
    return size


def parse_values(text: str, whole: bool = False) -> list[str]:
    """Return the values of `0.7,0.8`, `0.7..0.95` (six of them) or `0.7..0.95:0.05`, once each.

    Args:
        text: what stands after the equals sign.
        whole: the values between FIRST and LAST are rounded, for an option that is a whole number.

    Raises:
        UserError: not numbers where numbers are due, no value, or more than MOST_VALUES.
    """
    found = re.fullmatch(r"\s*([^:.]*\.?[^:.]*)\.\.([^:]+?)(?::(.+))?", text)
    if found is None:
        values = [value.strip() for value in text.split(",") if value.strip()]
    else:
        try:
            first, last = Decimal(found[1].strip()), Decimal(found[2].strip())
            step = Decimal(found[3]) if found[3] else (last - first) / (EVENLY - 1)
        except InvalidOperation:
            raise UserError(f"--sweep: {text!r} is not FIRST..LAST or FIRST..LAST:STEP") from None
        if step <= 0 or last < first:
            raise UserError(f"--sweep: {text!r} does not go up: FIRST < LAST and STEP > 0")
        count = int((last - first) / step) + 1
        numbers = [first + step * i for i in range(min(count, MOST_VALUES + 1))]
        if whole and not found[3]:
            numbers[1:-1] = [number.to_integral_value() for number in numbers[1:-1]]
        values = [_plain(number) for number in numbers]
    values = list(dict.fromkeys(values))
    if not 1 <= len(values) <= MOST_VALUES:
        raise UserError(f"--sweep: 1 to {MOST_VALUES} values, got {len(values) or 'none'}")
    return values


def _plain(value: Decimal) -> str:
    """Return a number as one writes it: 0.7 and not 0.700."""
    text = f"{round(value, 6):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
