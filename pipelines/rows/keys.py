"""Position keys: one 64-bit integer per row, fixed by where the row stands in the input.

Keys order rows as the input does and do not depend on how files were split, so they are the same
for every runner, number of workers and batch size::

    | file: 20 bits | position in the file: 36 bits | copy: 7 bits |   (the sign bit stays 0)

The position is the byte offset of a line (uncompressed) in line formats and the row number in
tables; a folder of files is one virtual table with one row per file. `copy` is 0 for input rows and
counts the rows that augmentation derives from them. Rows of earlier runs have negative keys, see
`pipelines.exchange.earlier`.
"""

import numpy as np
import numpy.typing as npt

from pipelines.errors import UserError
from pipelines.maths.arrays import Keys, Mask

COPY_BITS = 7
POSITION_BITS = 36
FILE_BITS = 20

MAX_FILES = 1 << FILE_BITS
MAX_POSITION = 1 << POSITION_BITS
MAX_COPIES = (1 << COPY_BITS) - 1


def pack(file: int, positions: npt.ArrayLike) -> Keys:
    """Return the keys of input rows at `positions` (bytes or rows) of file number `file`."""
    if not 0 <= file < MAX_FILES:
        raise UserError(f"file number {file} is outside 0..{MAX_FILES - 1}: read fewer files")
    at = np.asarray(positions, dtype=np.int64)
    if at.size and (at.min() < 0 or at.max() >= MAX_POSITION):
        raise UserError(
            f"position {int(at.max())} is past {MAX_POSITION - 1} (64 GiB of text or 68 billion "
            "rows in one file): split the file"
        )
    return (np.int64(file) << (POSITION_BITS + COPY_BITS)) | (at << COPY_BITS)


def file_of(keys: Keys) -> Keys:
    """Return the number of the file each key points into."""
    return keys >> (POSITION_BITS + COPY_BITS)


def position_of(keys: Keys) -> Keys:
    """Return the byte offset or row number of each key within its file."""
    return (keys >> COPY_BITS) & (MAX_POSITION - 1)


def of_earlier_run(numbers: npt.ArrayLike) -> Mask:
    """Tell which keys, or which homes, belong to rows of an earlier run: the negative ones.

    Of such rows only what was stored for comparison is known. They are never dropped, and of
    duplicates they are always the ones kept.
    """
    return np.asarray(np.less(numbers, 0))


def copy_of(keys: Keys) -> Keys:
    """Return 0 for input rows, the number of the copy for derived ones."""
    return keys & MAX_COPIES
