"""Files that are not what their reader takes them for, and what to do about it."""

from collections.abc import Sequence

_BEGINNINGS = (
    (b"\x1f\x8b", "gzip: end its name with .gz"),
    (b"\x28\xb5\x2f\xfd", "zstd: end its name with .zst"),
    (b"BZh", "bzip2: end its name with .bz2"),
    (b"\xfd7zXZ", "xz: end its name with .xz"),
    (b"PK\x03\x04", "a zip archive: unpack it and read the folder"),
    (b"PAR1", "Parquet: read it with `format: parquet`"),
    (b"ARROW1", "Arrow: read it with `format: arrow`"),
    (b"\xff\xfe", "UTF-16: save it as UTF-8 (iconv -f utf-16 -t utf-8)"),
    (b"\xfe\xff", "UTF-16: save it as UTF-8 (iconv -f utf-16 -t utf-8)"),
    (b"%PDF", "a PDF: take the text out first"),
)
_LATIN = "it may be Latin-1 or Windows-1252: save it as UTF-8 (iconv -f windows-1252 -t utf-8)"


def stranger(data: bytes) -> str | None:
    """Say what a file seems to be by its first bytes, and what to do; None where none knows."""
    for magic, said in _BEGINNINGS:
        if data.startswith(magic):
            return f"the file looks like {said}"
    if b"\0" in data[:64] and data[1:64:2].count(0) > 16:
        return "the file looks like UTF-16: save it as UTF-8 (iconv -f utf-16le -t utf-8)"
    return None


def advice(data: bytes, form: str, error: str) -> str | None:
    """Say what is probably wrong with a file of which records could not be read.

    Args:
        data: how it begins.
        form: the format it was read as.
        error: what was said of the first such record.
    """
    if said := stranger(data):
        return said
    if form == "jsonl" and (said := not_json_lines(data.split(b"\n")[0])):
        return said
    return may_be_latin(data) if error.startswith("invalid UTF-8") else None


def nested_field(role: str, name: str, have: Sequence[str]) -> str | None:
    """Say that a name with points is no column but a field in one; None where it is none."""
    column, *fields = name.split(".")
    if not fields or column not in have:
        return None
    return f"{name!r} would be a field within column {column!r}: {lifted(role, name)}"


def lifted(role: str, name: str) -> str:
    """Say how a field within a column becomes a column."""
    flat = name.replace(".", "_")
    return (
        "only whole columns are read, so lift it out first "
        f"(JSON lines: jq -c '.{flat} = .{name}') and write `read: {{{role}: {flat}}}`"
    )


def not_json_lines(line: bytes) -> str | None:
    """Say what a file of JSON is that has not one object a line, by its first line."""
    start = line.lstrip()[:1]
    if start == b"{" and b"\r" in line.rstrip(b"\r"):
        return "the file ends its lines with CR alone: write LF (tr '\\r' '\\n')"
    if start == b"[":
        return "the file looks like one JSON array: write one object a line (jq -c '.[]')"
    if start == b"{" and not line.rstrip().endswith(b"}"):
        return "the file looks like JSON over several lines: write one object a line (jq -c .)"
    return None


def may_be_latin(data: bytes) -> str | None:
    """Say that bytes that are not UTF-8 may be of a single-byte encoding, where they make texts."""
    try:
        text = data.decode("windows-1252")
    except UnicodeDecodeError:
        return None
    plain = all(char.isprintable() or char.isspace() for char in text)
    return f"the file is not UTF-8; {_LATIN}" if plain else None
