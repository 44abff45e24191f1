"""Strict YAML: values with their places, and every problem of a file at once.

PyYAML alone takes duplicate keys in silence, reads ``no`` as false and ``1:30`` as 90. Here only
``true``, ``false``, ``null``, whole and decimal numbers are more than text; tags, merge keys,
several documents and aliases that explode are refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vqchaos.errors import InvalidFile, Problem

SIZE_LIMIT = 1024**2
NODE_LIMIT = 10_000
DEPTH_LIMIT = 50
# Below these keys a plain scalar is its source text: `0.90` stays `0.90`, `yes` stays `yes`.
TEXT_KEYS = frozenset({"args", "env", "command", "inject", "revert", "verify", "headers_env"})
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)?\.[0-9]+([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+")
# libyaml's parser where PyYAML has it, else PyYAML's own, some ten times slower.
_FAST_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS = ("", "~", "null")
_PLAIN_TAGS = {
    "tag:yaml.org,2002:" + name
    for name in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp", "value")
}

Step = str | int
Place = tuple[int, int]


@dataclass
class Document:
    """A parsed file. ``places`` maps a path (keys and indices) to the (line, column) of its value,
    ``key_places`` to that of its key; both count from 1. ``problems`` are those that left a value
    to go on with: whoever uses the document adds its own and raises them all."""

    file: str
    value: Any
    places: dict[tuple[Step, ...], Place] = field(default_factory=dict)
    key_places: dict[tuple[Step, ...], Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: Sequence[Step], *, key: bool = False) -> Place:
        """Of the deepest part of ``path`` that the file has."""
        steps = tuple(path)
        while steps:
            if key and steps in self.key_places:
                return self.key_places[steps]
            if steps in self.places:
                return self.places[steps]
            steps = steps[:-1]
            key = not self._is_scalar(steps)  # a short form: the mistake is in the value itself
        return self.places.get((), (1, 1))

    def _is_scalar(self, steps: tuple[Step, ...]) -> bool:
        value = self.value
        for step in steps:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return False
        return not isinstance(value, dict | list)

    def problem(self, path: Sequence[Step], message: str, *, key: bool = False) -> Problem:
        line, column = self.place(path, key=key)
        return Problem(self.file, line, column, message)


def load(path: Path) -> Document:
    """Read and parse a file. Raises InvalidFile with everything that is wrong with it."""
    name = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        raise _whole(name, "there is no such file") from None
    except IsADirectoryError:
        raise _whole(name, "a folder, not a file") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise _whole(name, f"cannot be read: {why}") from None
    return parse(data, name)


def parse(data: bytes | str, name: str) -> Document:
    """Parse the content of a file called ``name``. Raises InvalidFile where there is nothing to go
    on with; smaller problems are in the document."""
    text = _decoded(data, name) if isinstance(data, bytes) else data
    try:
        nodes = _compose(text, name)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        said = shown(error.problem or "cannot be parsed", 120)
        raise InvalidFile([Problem(name, *place, f"not YAML: {said}")]) from None
    except yaml.YAMLError as error:
        raise _whole(name, f"not YAML: {shown(error, 120)}") from None
    except RecursionError:
        raise _whole(name, f"nested too deeply (at most {DEPTH_LIMIT} levels)") from None
    if not nodes:
        raise _whole(name, "the file is empty: expected a mapping such as `version: 1`")
    if len(nodes) > 1:
        mark = nodes[1].start_mark
        message = "a second document: expected one only, so no `---` within the file"
        raise InvalidFile([Problem(name, mark.line + 1, mark.column + 1, message)])
    builder = _Builder(name)
    value = builder.build(nodes[0], (), depth=0, textual=False)
    if not isinstance(nodes[0], yaml.MappingNode) and not builder.problems:
        builder.say(nodes[0], "expected a mapping such as `version: 1`")
    if builder.fatal or not isinstance(value, dict):
        raise InvalidFile(sorted(builder.problems))
    return Document(name, value, builder.places, builder.key_places, builder.problems)


def scalar(text: str) -> Any:
    """What a plain scalar means here."""
    if text in _NULLS:
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text) and len(text) <= 25:
        return int(text)
    if _FLOAT.fullmatch(text) and len(text) <= 40:
        return float(text)
    return text


def shown(value: object, longest: int = 60) -> str:
    """A value from a file in a message: on one line, printable, bounded."""
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in str(value))
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _whole(name: str, message: str) -> InvalidFile:
    return InvalidFile([Problem(name, 0, 0, message)])


def _decoded(data: bytes, name: str) -> str:
    if len(data) > SIZE_LIMIT:
        raise _whole(name, "larger than 1 MiB: is this really an experiment or a stack?")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _whole(name, "UTF-16: expected UTF-8")
    try:
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise InvalidFile([Problem(name, line, column, "not text: expected UTF-8")]) from None
    for number, content in enumerate(text.split("\n"), 1):
        for column, char in enumerate(content, 1):
            if ord(char) < 32 and char not in "\t\r":
                message = f"a control character (\\x{ord(char):02x}): not text"
                raise InvalidFile([Problem(name, number, column, message)])
    return text


def _measure(text: str, name: str, loader: Any) -> None:
    """Raises InvalidFile for what is nested too deeply or too much."""
    depth = 0
    for events, event in enumerate(yaml.parse(text, Loader=loader), 1):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        mark = event.start_mark
        assert mark is not None, "a parser's events have their places"
        if depth > DEPTH_LIMIT:
            message = f"nested too deeply (at most {DEPTH_LIMIT} levels)"
            raise InvalidFile([Problem(name, mark.line + 1, mark.column + 1, message)])
        if events > 2 * NODE_LIMIT + 8:  # a collection is two events, its start and its end
            message = f"too many values (at most {NODE_LIMIT})"
            raise InvalidFile([Problem(name, mark.line + 1, mark.column + 1, message)])


def _compose(text: str, name: str) -> list[yaml.Node]:
    """The documents of the text, at most two. Depth and number are checked on the events, before
    PyYAML's own recursion over them."""
    try:
        _measure(text, name, _FAST_LOADER)
    except yaml.YAMLError:  # the two parsers differ in what they refuse, and in their words
        _measure(text, name, yaml.SafeLoader)
    out: list[yaml.Node] = []
    for node in yaml.compose_all(text, Loader=yaml.SafeLoader):
        if isinstance(node, yaml.Node):
            out.append(node)
        if len(out) == 2:
            break
    # An empty document composes to a null scalar without any text.
    if len(out) == 1 and isinstance(out[0], yaml.ScalarNode) and out[0].value == "":
        return []
    return out


class _Builder:
    """Nodes to plain values; collects places and problems."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.problems: list[Problem] = []
        self.places: dict[tuple[Step, ...], Place] = {}
        self.key_places: dict[tuple[Step, ...], Place] = {}
        self.fatal = False  # no use in looking any further
        self._count = 0
        self._above: set[int] = set()

    def say(self, node: yaml.Node, message: str) -> None:
        mark = node.start_mark
        problem = Problem(self._name, mark.line + 1, mark.column + 1, message)
        if problem not in self.problems:
            self.problems.append(problem)

    def build(self, node: yaml.Node, path: tuple[Step, ...], *, depth: int, textual: bool) -> Any:
        self._count += 1
        if self._count > NODE_LIMIT:
            self.fatal = True
            if self._count == NODE_LIMIT + 1:
                self.say(node, f"too many values (at most {NODE_LIMIT}; do aliases multiply them?)")
            return None
        if id(node) in self._above or depth > DEPTH_LIMIT:
            self.fatal = True
            self.say(node, "an alias that contains itself")
            return None
        self.places[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        if node.tag not in _PLAIN_TAGS and node.tag != "tag:yaml.org,2002:merge":
            self.fatal = True
            self.say(node, f"a tag ({shown(node.tag, 40)}): expected a plain value")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, textual=textual)
        self._above.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [
                    self.build(item, (*path, index), depth=depth + 1, textual=textual)
                    for index, item in enumerate(node.value)
                ]
            assert isinstance(node, yaml.MappingNode)
            return self._mapping(node, path, depth=depth, textual=textual)
        finally:
            self._above.discard(id(node))

    def _scalar(self, node: yaml.ScalarNode, *, textual: bool) -> Any:
        if node.style is not None:
            return node.value
        if textual:
            return None if node.value in _NULLS else node.value
        return scalar(node.value)

    def _mapping(
        self, node: yaml.MappingNode, path: tuple[Step, ...], *, depth: int, textual: bool
    ) -> dict[str, Any]:
        out: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.say(key_node, "expected a name before the colon")
                continue
            key = key_node.value
            if key == "<<" and key_node.style is None:
                self.say(key_node, "merge keys (<<) are not taken: write the values out")
                continue
            if key in out:
                self.say(key_node, f"'{shown(key)}' is there already, in line {lines[key]}")
                continue
            lines[key] = key_node.start_mark.line + 1
            steps = (*path, key)
            self.key_places[steps] = (lines[key], key_node.start_mark.column + 1)
            out[key] = self.build(
                value_node, steps, depth=depth + 1, textual=textual or key in TEXT_KEYS
            )
        return out
