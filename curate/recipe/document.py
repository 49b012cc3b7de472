"""A recipe's YAML as plain data that remembers the line of each key, and `--set` on top of it."""

import datetime
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from curate.errors import Place, Problem, RecipeError, shown
from pipelines.errors import did_you_mean

PLAIN = {
    "found character '\\t' that cannot start any token": "a tab: YAML is indented with spaces",
    "found character '\\t' that cannot start a token": "a tab: YAML is indented with spaces",
    "mapping values are not allowed here": (
        "a `:` where none is expected: check the indentation, or quote the value"
    ),
    "could not find expected ':'": "a line without `:` (write `key: value`)",
    "found unexpected end of stream": "a quote that is never closed",
    "but found another document": "a second document (`---`): write one recipe per file",
}
"""What ruamel.yaml says, in words for people who do not know its parser."""


LARGEST = 1 << 18
"""Bytes of a recipe."""
MOST_VALUES = 5000
"""Keys, values, lists and mappings in all."""
LONGEST_VALUE = 1 << 16
"""Characters of one key or value."""
DEEPEST = 32
"""Lists and mappings within each other."""
LONGEST_NUMBER = 300
"""Digits of a number."""
_LONE = re.compile("[\ud800-\udfff]")
_NUMBER = re.compile(r"[-+]?[0-9][0-9a-fA-FxXoO_,.:]*")


@dataclass
class Document:
    """Plain data of one recipe; `where` tells the file and line, or the `--set`, of a path."""

    name: str
    data: dict[str, Any]
    lines: dict[Place, int]
    overrides: dict[Place, str] = field(default_factory=dict)

    def where(self, path: Place) -> str:
        """Return `file:line` of a path or of what encloses it, or the override that set it."""
        for cut in range(len(path), 0, -1):
            if path[:cut] in self.overrides:
                return self.overrides[path[:cut]]
        return f"{self.name}:{self._line(path)}"

    def _line(self, path: Place) -> int:
        return next(
            self.lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in self.lines
        )

    def messages(self, problems: Iterable[Problem]) -> list[str]:
        """Return problems as `file:line: path: text`, in file order, overrides last."""
        order = list(self.overrides.values())

        def place(problem: Problem) -> tuple[int, int]:
            where = self.where(problem.path)
            return (1, order.index(where)) if where in order else (0, self._line(problem.path))

        said = []
        for problem in dict.fromkeys(sorted(problems, key=place)):
            where, path = self.where(problem.path), dotted(problem.path)
            stated = f"{where}: " if where == f"--set {path}" or not path else f"{where}: {path}: "
            said.append(stated + problem.text)
        return said

    def override(self, assignment: str) -> None:
        """Apply `path=value`: `steps.2.similarity=0.9` or `steps.near_dedup.similarity=0.9`.

        Positions in lists count from 1, as steps do in the ledger and the report. A step may also
        be named by its op where that op stands once. The value is YAML.

        Raises:
            RecipeError: no `=`, no such list entry, or a value that is not YAML.
        """
        dotted_path, equals, value = assignment.partition("=")
        label = f"--set {dotted_path}"
        if not equals or not dotted_path.strip():
            raise RecipeError(
                [f"--set {assignment}: not an assignment; write --set steps.2.similarity=0.9"]
            )
        parsed = _load(value, lambda line: label)[0]
        *parents, last = dotted_path.strip().split(".")
        at: Any = self.data
        path: Place = ()
        for part in parents:
            key = _key(at, part, path, label)
            path = (*path, key)
            if isinstance(at, dict) and at.get(key) is None:
                at[key] = {}
                self.overrides[path] = label
            at = at[key]
        key = _key(at, last, path, label)
        at[key] = parsed
        path = (*path, key)
        self.overrides = {p: w for p, w in self.overrides.items() if p[: len(path)] != path}
        self.overrides[path] = label


def dotted(path: Place) -> str:
    """Return a path as `--set` takes it: joined by dots, positions counted from 1."""
    return ".".join(str(part + 1) if isinstance(part, int) else part for part in path)


def read_document(name: str, raw: bytes) -> Document:
    """Parse the bytes of a recipe.

    Raises:
        RecipeError: not UTF-8, not YAML, tags or aliases, a key that stands twice, not a mapping,
            larger, longer or deeper than any recipe.
    """
    if len(raw) > LARGEST:
        raise RecipeError(
            [f"{name}: {len(raw):,} bytes; a recipe has at most {LARGEST:,}. Is this a data file?"]
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise RecipeError(
            [f"{name}:{line}: not UTF-8 (byte 0x{raw[error.start]:02x}); save the file as UTF-8"]
        ) from None
    data, lines = _load(text, lambda line: f"{name}:{line}")
    if data is None:
        raise RecipeError([f"{name}: empty; a recipe has name, read, steps and write"])
    if not isinstance(data, dict):
        raise RecipeError(
            [f"{name}:1: a recipe is a mapping (`key: value` lines), got {shown(data)}"]
        )
    return Document(name, data, lines)


def _key(at: object, part: str, path: Place, label: str) -> str | int:
    """Return the key or position that one part of a dotted path names in `at`."""
    if isinstance(at, dict):
        return part
    if not isinstance(at, list):
        raise RecipeError([f"{label}: {dotted(path)} is {shown(at)} and has no {part!r}"])
    if part.isdecimal():
        if 1 <= int(part) <= len(at):
            return int(part) - 1
        allowed = f"1 to {len(at)}" if at else "none: the list is empty"
        raise RecipeError([f"{label}: no {dotted(path)}.{part}; allowed: {allowed}"])
    ops = [item.get("op") if isinstance(item, dict) else None for item in at]
    found = [position for position, op in enumerate(ops) if op == part]
    if len(found) == 1:
        return found[0]
    if found:
        steps = " or ".join(f"{dotted(path)}.{position + 1}" for position in found)
        raise RecipeError([f"{label}: {part!r} stands {len(found)} times; write {steps}"])
    names = list(dict.fromkeys(op for op in ops if isinstance(op, str)))
    allowed = f"1 to {len(at)}" if at else "none: the list is empty"
    if names:
        allowed = f"{allowed}, or {', '.join(names)}"
    raise RecipeError(
        [f"{label}: no {part!r} in {dotted(path)}; allowed: {allowed}{did_you_mean(part, names)}"]
    )


def _load(text: str, where: Callable[[int], str]) -> tuple[Any, dict[Place, int]]:
    """Return the plain data of a YAML text and the line of each path."""
    yaml = YAML(typ="safe", pure=True)
    lines: dict[Place, int] = {(): 1}
    try:
        _refuse(_not_data(_bounded(yaml.parse(text), where)), where)
        root = yaml.compose(text)
        if root is None:
            return None, lines
        _refuse(_read_lines(root, (), lines), where)
        return _plain(yaml.load(text)), lines
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = PLAIN.get(error.problem or "", error.problem or str(error))
        if error.problem not in PLAIN and error.context:
            what = f"{what} ({error.context})"
        at = f" at column {mark.column + 1}" if mark else ""
        line = mark.line + 1 if mark else 1
        raise RecipeError([f"{where(line)}: not YAML{at}: {what}"]) from None
    except RecipeError:
        raise
    except (ValueError, OverflowError) as error:  # such as the 31st of April
        raise RecipeError([f"{where(1)}: a value that cannot be read: {error}"]) from None
    except YAMLError as error:
        raise RecipeError([f"{where(1)}: not YAML: {str(error).splitlines()[0]}"]) from None


def _refuse(found: Iterable[tuple[int, str]], where: Callable[[int], str]) -> None:
    if problems := sorted(found):
        raise RecipeError([f"{where(line)}: {what}" for line, what in problems])


def _bounded(events: Iterable[Any], where: Callable[[int], str]) -> Iterator[Any]:
    """Pass the events of a recipe on; stop where it is deeper, or more, than any recipe is."""
    depth = values = 0
    for event in events:
        depth += isinstance(event, CollectionStartEvent)
        depth -= isinstance(event, CollectionEndEvent)
        values += isinstance(event, CollectionStartEvent | ScalarEvent)
        said = None
        if depth > DEEPEST:
            said = f"nested {depth} levels deep; a recipe has at most {DEEPEST}"
        elif values > MOST_VALUES:
            said = f"more than {MOST_VALUES:,} keys and values; no recipe has as many"
        elif isinstance(event, ScalarEvent):
            said = _unfit(event.value, bare=not event.style)
        if said:
            raise RecipeError([f"{where(event.start_mark.line + 1)}: {said}"])
        yield event


def _unfit(value: str, *, bare: bool) -> str | None:
    """Say why a key or value cannot be one of a recipe, None where it can."""
    if bare and len(value) > LONGEST_NUMBER and _NUMBER.fullmatch(value):
        return f"a number of {len(value):,} digits; allowed: {LONGEST_NUMBER}"
    if len(value) > LONGEST_VALUE:
        return f"a value of {len(value):,} characters; allowed: {LONGEST_VALUE:,}"
    if half := _LONE.search(value):
        return f"half a surrogate pair (U+{ord(half[0]):04X}), which is no character: remove it"
    return None


def _not_data(events: Iterable[Any]) -> Iterator[tuple[int, str]]:
    """Yield what makes a recipe more than data: aliases and tags."""
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, AliasEvent):
            yield (
                line,
                (
                    f"`*{event.anchor}` is an alias in YAML; quote it ('*{event.anchor}') if it is "
                    "a text, else write the value out"
                ),
            )
        elif getattr(event, "tag", None) is not None:
            yield line, f"a tag (`{event.tag}`): a recipe is plain data, write the value without it"


def _read_lines(node: Node, path: Place, lines: dict[Place, int]) -> Iterator[tuple[int, str]]:
    """Fill in the line of each path under `node`; yield keys that stand twice."""
    if isinstance(node, SequenceNode):
        for position, item in enumerate(node.value):
            lines[(*path, position)] = item.start_mark.line + 1
            yield from _read_lines(item, (*path, position), lines)
    elif isinstance(node, MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            line = key.start_mark.line + 1
            if here in lines:
                yield line, f"{dotted(here)}: stands twice (first at line {lines[here]})"
                continue
            lines[here] = line
            yield from _read_lines(value, here, lines)


def _plain(value: Any) -> Any:
    """Return YAML's value as JSON has it: keys are texts, and so are dates."""
    if isinstance(value, Mapping):
        return {_plain_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, datetime.date | datetime.datetime):
        return value.isoformat()
    return value


def _plain_key(key: object) -> str:
    return key if isinstance(key, str) else shown(key)
