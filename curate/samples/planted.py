"""Planted defects: a marker beside the data says that they are no accident of the real world."""

import json
from collections.abc import Sequence
from pathlib import Path

from pipelines import files
from pipelines.errors import UserError

MARKER = "_synthetic.json"
"""A list of sentences. No reader takes a name that begins with `_` for data."""
LEVELS = 2
"""Folders above the data that are looked at for the marker."""


def write_marker(folder: Path, sentences: Sequence[str]) -> None:
    """Say in `folder` which defects of its data were planted."""
    text = json.dumps(list(sentences), indent=2, ensure_ascii=False)
    (folder / MARKER).write_text(f"{text}\n", encoding="utf-8")


def planted_in(paths: str | Sequence[str]) -> list[str]:
    """Return what the markers nearest to some local paths say, each sentence once.

    Args:
        paths: files, folders or patterns; the marker may lie in the folder or up to two above.

    Raises:
        UserError: a marker that is no list of sentences.
    """
    found: dict[str, None] = {}
    for path in [paths] if isinstance(paths, str) else paths:
        if files.is_remote(path):
            continue
        place = files.absolute(path)
        while not place.is_dir() and place != place.parent:
            place = place.parent
        for folder in (place, *list(place.parents)[:LEVELS]):
            if (folder / MARKER).is_file():
                found |= dict.fromkeys(_read(folder / MARKER))
                break
    return list(found)


def _read(marker: Path) -> list[str]:
    try:
        said = json.loads(marker.read_text(encoding="utf-8"))
    except ValueError:
        said = None
    if not isinstance(said, list) or not all(isinstance(one, str) for one in said):
        raise UserError(f"{marker}: holds no JSON list of sentences; mend it or remove it")
    return said
