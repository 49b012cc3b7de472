"""Compressed streams, read piece by piece; a stream that ends early is an error, never silence."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import zstandard

from pipelines.listings import File

_XZ_MEMORY = 1 << 28
"""Bytes that a .xz stream may want to be unpacked; `xz -9` wants a quarter. A .zst stream may want
the 2 GiB of `zstd --long=31`, which large corpora use."""
_OPEN: dict[str, Callable[[], Any]] = {
    ".gz": lambda: zlib.decompressobj(wbits=31),
    ".zst": lambda: zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj(),
    ".bz2": bz2.BZ2Decompressor,
    ".xz": lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY),
}
SUFFIXES = tuple(_OPEN)
_MOST = 1 << 20
"""Bytes that are yielded at once."""
_ZSTD_PORTION = 1 << 9
_GZIP = b"\x1f\x8b\x08"
_PROBE = 1 << 12
"""Compressed bytes that must expand for a stream to begin where its magic number stands."""
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


@dataclass(frozen=True)
class Gap:
    """A damaged stream that others follow in the same file."""

    said: str

    def __str__(self) -> str:
        """Return what is wrong with it."""
        return self.said


def decompressed(file: BinaryIO, kind: str, step: int = 1 << 18) -> Iterator[bytes | Gap]:
    """Yield the bytes of a compressed file, in pieces of bounded size.

    Concatenated streams are read through. A damaged .gz stream is a gap where another follows.

    Raises:
        BrokenStream: the file is damaged, ends early, or is not of this kind.
    """
    stream, read, inside = _OPEN[kind](), 0, True
    while data := file.read(step):
        read += len(data)
        while data and (inside or data.strip(b"\0")):  # zeros may pad the end
            try:
                data = yield from _expanded(stream, data, kind)
            except (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, ValueError) as error:
                said = f"damaged {kind} stream before compressed byte {read}: {error}"
                if "Memory usage limit" in str(error):
                    said = f"a {kind} stream that wants more than {_XZ_MEMORY:,} bytes of memory"
                following = _next_stream(file, data, step) if kind == ".gz" else None
                if following is None:
                    raise BrokenStream(said) from error
                yield Gap(said)
                stream, data, skipped = _OPEN[kind](), *following
                read, inside = read + skipped, True
                continue
            inside = not stream.eof
            if stream.eof:
                stream = _OPEN[kind]()
    if inside:
        raise BrokenStream(f"truncated {kind} stream: it ends after {read} bytes, unfinished")


def _expanded(stream: Any, data: bytes, kind: str) -> Generator[bytes, None, bytes]:
    """Yield what a stream makes of some bytes, never much at once, whatever they expand to.

    Returns:
        The bytes after the end of the stream.
    """
    if kind == ".zst":  # has no bound of its own; 4 bytes may hold 128 KiB
        for start in range(0, len(data), _ZSTD_PORTION):
            out = stream.decompress(data[start : start + _ZSTD_PORTION])
            yield from (out[i : i + _MOST] for i in range(0, len(out), _MOST))
            if stream.eof:
                return bytes(stream.unused_data) + data[start + _ZSTD_PORTION :]
        return b""
    while True:
        if out := stream.decompress(data, _MOST):
            yield out
        data = stream.unconsumed_tail if kind == ".gz" else b""
        if stream.eof or (len(out) < _MOST and not data):
            return bytes(stream.unused_data) if stream.eof else b""


def _next_stream(file: BinaryIO, data: bytes, step: int) -> tuple[bytes, int] | None:
    """Return the bytes from where the next gzip stream begins, and how many were read meanwhile."""
    at, skipped = 1, 0
    while True:
        while (at := data.find(_GZIP, at)) >= 0:
            data += (more := file.read(max(0, at + _PROBE - len(data))))
            skipped += len(more)
            try:
                if zlib.decompressobj(wbits=31).decompress(data[at : at + _PROBE], 1 << 16):
                    return data[at:], skipped
            except zlib.error:
                pass
            at += 1
        more = file.read(step)
        if not more:
            return None
        skipped += len(more)
        data, at = data[-len(_GZIP) + 1 :] + more, 0
