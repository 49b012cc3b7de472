"""How much of each source a mixture takes: shares, the total they allow, whole numbers."""

import numpy as np

from pipelines.maths.arrays import Floats, Int64

_DECIMALS = 12
"""Of a power, in whose last digits processors differ."""


def tempered_shares(sizes: Int64, temperature: float) -> Floats:
    """Return shares in proportion to sizes^(1 / temperature): 1 keeps proportions, many level them.

    As languages are sampled in XLM-R (Conneau et al. 2020, arXiv:1911.02116) and mT5 (Xue et al.
    2021, arXiv:2010.11934), whose exponent alpha = 0.3 is a temperature of 3.3.
    """
    if not sizes.any():
        return np.zeros(len(sizes))
    powers = np.round((sizes / sizes.max()) ** (1 / temperature), _DECIMALS)
    powers[sizes == 0] = 0
    return np.asarray(powers / powers.sum(), dtype=np.float64)


def largest_total(shares: Floats, available: Int64) -> int:
    """Return the largest total of which each source can give its share without repeating a row.

    Sources with share 0 or with nothing to give do not count.
    """
    able = (shares > 0) & (available > 0)
    if not able.any():
        return 0
    portions = shares[able] / shares[able].sum()
    # A hair above: 0.3 of 10 must not come to 2.9999999999999996.
    return int(min(np.floor(available[able] / portions * (1 + 1e-12)).min(), available.sum()))


def share_out(total: int, shares: Floats, available: Int64) -> Int64:
    """Divide `total` among sources by shares, giving none more than it has (water-filling).

    What a source lacks goes to the others in proportion to their shares; one with share 0 gets
    nothing. Whole numbers by largest remainder, ties to the first; they add up to `total`, or to
    all that the sources with a share have, if that is less. At most one pass per source.
    """
    given = np.zeros(len(shares), np.int64)
    able = (shares > 0) & (available > 0)
    total = min(total, int(available[able].sum()))
    while able.any():
        left = total - int(given.sum())
        ideal = np.where(able, left * (shares / shares[able].sum()), 0.0)
        full = able & (ideal >= available)
        if not full.any():
            whole = np.floor(ideal).astype(np.int64)
            remainder = np.where(able, ideal - whole, -1.0)
            most = np.argsort(-remainder, kind="stable")[: left - int(whole.sum())]
            whole[most] += 1
            return given + whole
        given[full] = available[full]
        able &= ~full
    return given
