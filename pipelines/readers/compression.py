"""Compressed streams, read piece by piece; a stream that ends early is an error, never silence."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import zstandard

from pipelines.files import File

_OPEN: dict[str, Callable[[], Any]] = {
    ".gz": lambda: zlib.decompressobj(wbits=31),
    ".zst": lambda: zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj(),
    ".bz2": bz2.BZ2Decompressor,
    ".xz": lzma.LZMADecompressor,
}
SUFFIXES = tuple(_OPEN)
RATIO = 4
"""How much larger text is, about, once decompressed."""


class BrokenStream(OSError):
    """A compressed stream that ends early or is damaged."""


def with_compressed(*suffixes: str) -> tuple[str, ...]:
    """Return the suffixes, plain and with each compression's."""
    return tuple(suffix + end for suffix in suffixes for end in ("", *SUFFIXES))


def compression_of(path: str) -> str | None:
    """Return the suffix of the compression a file name speaks of, None for a plain file."""
    return next((suffix for suffix in SUFFIXES if path.lower().endswith(suffix)), None)


def expanded_size(file: File) -> int:
    """Return about how many bytes a file holds once decompressed."""
    return file.size * (1 if compression_of(file.path) is None else RATIO)


def decompressed(file: BinaryIO, kind: str, step: int = 1 << 18) -> Iterator[bytes]:
    """Yield the bytes of a compressed file; concatenated streams are read through.

    Raises:
        BrokenStream: the file is damaged, ends early, or is not of this kind.
    """
    stream, read, inside = _OPEN[kind](), 0, True
    while data := file.read(step):
        read += len(data)
        while data and (inside or data.strip(b"\0")):  # zeros may pad the end
            try:
                out = stream.decompress(data)
            except (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, ValueError) as error:
                raise BrokenStream(
                    f"damaged {kind} stream before compressed byte {read}: {error}"
                ) from error
            if out:
                yield out
            data, inside = b"", not stream.eof
            if stream.eof:
                data, stream = stream.unused_data, _OPEN[kind]()
    if inside:
        raise BrokenStream(f"truncated {kind} stream: it ends after {read} bytes, unfinished")
