"""Elementary functions that give the same bits on every machine.

NumPy and the C library choose their own versions of exp, log and the like by the processor, and
these differ in the last bit. Here they are made of additions, products and divisions, which
IEEE 754 fixes. Errors are a few units of the last place; they take about ten times as long.
"""

from math import factorial

import numpy as np
import numpy.typing as npt

from pipelines.maths.arrays import Floats

_LN2_HIGH = float.fromhex("0x1.62e42fee00000p-1")
_LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
"""The logarithm of 2 in two parts: whole multiples of the first, up to 2^20, are exact."""
_PI = float.fromhex("0x1.921fb54442d18p+1")
_ROOT_HALF = float.fromhex("0x1.6a09e667f3bcdp-1")
_EIGHTH_TURN = float.fromhex("0x1.a827999fcef32p-2")
"""tan(pi / 8)."""
_LEAST, _GREATEST = -700.0, 700.0
_EXP = [1 / factorial(power) for power in range(14)]
_STEPS = 32
"""Steps in which a power of 2 is looked up; what is left of the exponent is at most ln(2) / 64."""
_FEW = 7
"""Terms of the series that are enough for so small a rest."""
_LOG = [2 / (2 * power + 1) for power in range(12)]
_ARCTAN = [(-1) ** power / (2 * power + 1) for power in range(21)]


def exp(values: npt.ArrayLike) -> Floats:
    """Return e to the power of each value; beyond 700, as at 700, and 0 below -700."""
    x = np.clip(np.asarray(values, np.float64), _LEAST, _GREATEST)
    steps = np.rint(x * (_STEPS / (_LN2_HIGH + _LN2_LOW)))
    rest = x - steps * (_LN2_HIGH / _STEPS) - steps * (_LN2_LOW / _STEPS)
    whole = steps.astype(np.int32)
    raised = _ROOTS[whole % _STEPS] * _polynomial(_EXP[:_FEW], rest)
    raised = np.ldexp(raised, whole // _STEPS)
    return np.asarray(np.where(np.asarray(values) < _LEAST, 0.0, raised))


def log(values: npt.ArrayLike) -> Floats:
    """Return the natural logarithm of positive, finite values."""
    fraction, exponent = np.frexp(np.asarray(values, np.float64))
    low = fraction < _ROOT_HALF
    fraction, exponent = np.where(low, 2 * fraction, fraction), exponent - low
    slope: Floats = (fraction - 1.0) / (fraction + 1.0)
    return np.asarray(
        exponent * _LN2_HIGH + (exponent * _LN2_LOW + slope * _polynomial(_LOG, slope * slope))
    )


def turn(down: npt.ArrayLike, across: npt.ArrayLike) -> Floats:
    """Return the angle of each direction as a share of a full turn, in [0, 1)."""
    y, x = np.asarray(down, np.float64), np.asarray(across, np.float64)
    tall, wide = np.abs(y), np.abs(x)
    long = np.maximum(tall, wide)
    ratio = np.minimum(tall, wide) / np.where(long == 0, 1.0, long)
    beyond = ratio > _EIGHTH_TURN
    small = np.where(beyond, (ratio - 1) / (ratio + 1), ratio)
    angle = small * _polynomial(_ARCTAN, small * small) / (2 * _PI) + np.where(beyond, 0.125, 0.0)
    angle = np.where(tall > wide, 0.25 - angle, angle)
    angle = np.where(x < 0, 0.5 - angle, angle)
    angle = np.where(y < 0, 1.0 - angle, angle)
    return np.asarray(np.where(angle >= 1.0, 0.0, angle))


def power(values: npt.ArrayLike, exponent: float) -> Floats:
    """Return positive values raised to an exponent."""
    return exp(exponent * log(values))


def _polynomial(coefficients: list[float], x: Floats) -> Floats:
    """Return the sum of coefficient times power, the constant first (Horner)."""
    total = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total *= x
        total += coefficient
    return total


_HALVES = np.arange(_STEPS, dtype=np.float64) * ((_LN2_HIGH + _LN2_LOW) / (2 * _STEPS))
_ROOTS = _polynomial(_EXP, _HALVES) ** 2
"""The powers of 2 from 0 to 31 / 32."""
