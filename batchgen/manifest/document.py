"""A YAML document as values with their places, straight from the parser's events.

Plain scalars stay text (`shapes.Plain`): YAML 1.1 would make 969 of `16:9` and `false` of `no`, and only the model's
schema can say what was meant. PyYAML's composer and constructor are not used: four times slower, and they know no caps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from batchgen.errors import ManifestInvalid
from batchgen.manifest.jsontext import MAX_DEPTH, unusable_character
from batchgen.manifest.shapes import Plain, Text
from batchgen.manifest.suggest import SHOWN, shown
from batchgen.manifest.yamlerrors import explain
from batchgen.records import Place, Problem

MOST_PROBLEMS = 1000
FREE_ALIASED = 100_000
ALIASED_PER_OWN = 20
"""What aliases may stand for: this many values, and so many more for each value that the file spells out. A hundred
thousand runs that each merge ten defaults stay far below; nine lists of nine aliases each do not."""

_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(_TAG + name for name in ("int", "float", "bool", "null"))
_STRING_TAGS = frozenset((_TAG + "str", "!"))


class Sequence(list["Node"]):
    """A list, and where it begins."""

    __slots__ = ("column", "line")
    line: int
    column: int


class Mapping(dict[str, "Node"]):
    """A mapping, merge keys already folded in, and where it begins. Its keys know their own places."""

    __slots__ = ("_written", "anchored", "column", "line")
    line: int
    column: int
    anchored: bool
    _written: dict[str, str]

    def key(self, name: str) -> Text:
        """The key of that name as it was written, with its place; raises `KeyError`.

        The keys are put down by name when the first is asked for, and those that came since at each later time:
        looking through all of them for every problem took minutes where both were many.
        """
        try:
            written = self._written
        except AttributeError:
            written = self._written = {}
        if len(written) < len(self):
            written.update((key, key) for key in islice(self, len(written), None))
        key = written[name]
        if not isinstance(key, Text):
            raise KeyError(name)
        return key


Node = Text | Sequence | Mapping


@dataclass(frozen=True, slots=True)
class Document:
    """The one document of a file, `None` for an empty one, and what is wrong with its form."""

    root: Node | None
    problems: tuple[Problem, ...]


def parse(text: str, name: str) -> Document:
    """The document in a YAML text. `name` is the file's, for places.

    Raises `ManifestInvalid` with one problem where the text is not YAML, or passes a cap; what can be read past is in
    the document's problems.
    """
    import yaml

    kind: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Composer(kind(text).get_event, name).document()
    except yaml.YAMLError as error:
        line, column, message = explain(error, text)
        raise ManifestInvalid([Problem(Place(name, line, column), message)]) from None


class _Anchored(NamedTuple):
    node: Node
    weight: int


class _Composer:
    """Builds nodes from events. One per document; its counters are what the caps look at."""

    def __init__(self, next_event: Callable[[], Any], name: str) -> None:
        import yaml

        self._yaml = yaml
        self._scalar_event = yaml.ScalarEvent
        self._alias_event = yaml.AliasEvent
        self._next = next_event
        self._name = name
        self._anchors: dict[str, _Anchored] = {}
        self._problems: list[Problem] = []
        self._nodes = 0
        self._aliased = 0

    def document(self) -> Document:
        yaml = self._yaml
        self._next()  # the stream's start
        if isinstance(self._next(), yaml.StreamEndEvent):
            return Document(None, ())
        root = self._node(self._next(), 0)
        self._next()  # the document's end
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            self._problem(after, "a manifest is one YAML document; another one begins here.")
        return Document(root, tuple(self._problems))

    def _node(self, event: Any, depth: int) -> Node:
        kind = type(event)
        before = self._nodes
        if kind is self._scalar_event:
            self._nodes += 1
            node: Node = self._text(event)
        elif kind is self._alias_event:
            return self._alias(event)
        else:
            self._nodes += 1
            if depth >= MAX_DEPTH:
                raise self._stop(event, f"lists and mappings are nested more than {MAX_DEPTH} deep.")
            node = (
                self._sequence(event, depth) if kind is self._yaml.SequenceStartEvent else self._mapping(event, depth)
            )
            node.line, node.column = event.start_mark.line + 1, event.start_mark.column + 1
            if isinstance(node, Mapping):
                node.anchored = event.anchor is not None
        if event.anchor is not None:
            # Only now, so that nothing can hold itself.
            self._anchors[event.anchor] = _Anchored(node, self._nodes - before)
        return node

    def _alias(self, event: Any) -> Node:
        found = self._anchors.get(event.anchor)
        name = event.anchor[:SHOWN]
        if found is None:
            raise self._stop(event, f"*{name} refers to nothing that is marked &{name} before it.")
        own = self._nodes - self._aliased
        self._nodes += found.weight
        self._aliased += found.weight
        if self._aliased > FREE_ALIASED + ALIASED_PER_OWN * own:
            raise self._stop(event, f"aliases (*{name}) make too much of this file: {self._aliased:,} values.")
        return found.node

    def _text(self, event: Any) -> Text:
        text, tag, style = event.value, event.tag, event.style
        plain = not style
        if tag is not None:
            plain = tag in _PLAIN_TAGS
            if not plain and tag not in _STRING_TAGS:
                self._refuse_tag(event)
        if style == '"' and (bad := unusable_character(text)):
            self._problem(event, f"text cannot hold the character {bad}.")
            text = ""
        node = Plain(text) if plain else Text(text)
        mark = event.start_mark
        node.line, node.column = mark.line + 1, mark.column + 1
        return node

    def _sequence(self, event: Any, depth: int) -> Sequence:
        if event.tag not in (None, "!", _TAG + "seq"):
            self._refuse_tag(event)
        items = Sequence()
        end = self._yaml.SequenceEndEvent
        while type(inner := self._next()) is not end:
            items.append(self._node(inner, depth + 1))
        return items

    def _mapping(self, event: Any, depth: int) -> Mapping:
        if event.tag not in (None, "!", _TAG + "map"):
            self._refuse_tag(event)
        entries = Mapping()
        merges: list[tuple[Any, Node]] = []
        end = self._yaml.MappingEndEvent
        while type(inner := self._next()) is not end:
            key = self._node(inner, depth + 1)
            node = self._node(self._next(), depth + 1)
            if not isinstance(key, Text):
                message = "a list or mapping cannot be a key; put quotes round text that begins with [ or {."
                self._problem(inner, message)
            elif key == "<<" and type(key) is Plain:
                merges.append((inner, node))
            elif key in entries:
                first = entries.key(key)
                at = f"line {first.line}, column {first.column}"
                self._problem(inner, f"{shown(str(key))} is given twice in one mapping; the first is at {at}.")
            else:
                entries[key] = node
        if merges:
            self._merge(entries, merges)
        return entries

    def _merge(self, entries: Mapping, merges: list[tuple[Any, Node]]) -> None:
        """What is nearer wins: the mapping's own keys, then the merged mappings in their order."""
        for event, _ in merges[1:]:
            self._problem(event, "<< stands twice in one mapping; write one with a list: <<: [*a, *b].")
        for event, node in merges:
            for source in node if isinstance(node, Sequence) else [node]:
                if not isinstance(source, Mapping):
                    self._problem(event, "<< takes a mapping or a list of mappings, such as <<: *defaults.")
                    continue
                for key, value in source.items():
                    entries.setdefault(key, value)

    def _refuse_tag(self, event: Any) -> None:
        tag = event.tag.replace(_TAG, "!!")
        self._problem(event, f"the tag {shown(tag)} is refused; a manifest needs no tags.")

    def _problem(self, event: Any, message: str) -> None:
        if len(self._problems) >= MOST_PROBLEMS:
            raise self._stop(event, "more mistakes of form than can be listed; the rest was not read.")
        self._problems.append(Problem(self._place(event), message))

    def _stop(self, event: Any, message: str) -> ManifestInvalid:
        return ManifestInvalid([*self._problems, Problem(self._place(event), message)])

    def _place(self, event: Any) -> Place:
        return Place(self._name, event.start_mark.line + 1, event.start_mark.column + 1)
