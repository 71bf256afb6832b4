"""A YAML document as values with their places, straight from the parser's events.

Plain scalars stay text (`shapes.Plain`): YAML 1.1 would make 969 of `16:9` and `false` of `no`, and only the model's
schema can say what was meant. PyYAML's composer and constructor are not used: four times slower, and they know no caps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from batchgen.errors import ManifestInvalid
from batchgen.manifest.jsontext import MAX_DEPTH, unusable_character
from batchgen.manifest.shapes import Plain
from batchgen.manifest.suggest import shown
from batchgen.manifest.yamlerrors import explain
from batchgen.records import Place, Problem

if TYPE_CHECKING:
    import yaml

FREE_ALIASED = 100_000
ALIASED_PER_OWN = 20
"""What aliases may stand for: this many values, and so many more for each value that the file spells out. A hundred
thousand runs that each merge ten defaults stay far below; nine lists of nine aliases each do not."""

_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(_TAG + name for name in ("int", "float", "bool", "null"))
_STRING_TAGS = frozenset((_TAG + "str", "!"))


class Scalar(NamedTuple):
    """A text as written; `Plain` where it was not quoted. Lines and columns count from 1, here and below."""

    line: int
    column: int
    value: str


class Sequence(NamedTuple):
    """A list."""

    line: int
    column: int
    items: list[Node]


class Entry(NamedTuple):
    """What stands under a key, and where the key stands."""

    line: int
    column: int
    node: Node


class Mapping(NamedTuple):
    """A mapping, merge keys already folded in."""

    line: int
    column: int
    entries: dict[str, Entry]


Node = Scalar | Sequence | Mapping


@dataclass(frozen=True, slots=True)
class Document:
    """The one document of a file, `None` for an empty one, and what is wrong with its form."""

    root: Node | None
    problems: tuple[Problem, ...]


def value_of(node: Node) -> Any:
    """The node as plain lists and dicts; scalars are `str`, or `Plain` where they were not quoted."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [value_of(item) for item in node.items]
    return {key: value_of(entry.node) for key, entry in node.entries.items()}


def parse(text: str, name: str) -> Document:
    """The document in a YAML text. `name` is the file's, for places.

    Raises `ManifestInvalid` with one problem where the text is not YAML, or passes a cap; what can be read past is in
    the document's problems.
    """
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Composer(yaml.parse(text, Loader=loader), name).document()
    except yaml.YAMLError as error:
        line, column, message = explain(error, text)
        raise ManifestInvalid([Problem(Place(name, line, column), message)]) from None


class _Anchored(NamedTuple):
    node: Node
    weight: int


class _Composer:
    """Builds nodes from events. One per document; its counters are what the caps look at."""

    def __init__(self, events: Iterator[yaml.Event], name: str) -> None:
        import yaml

        self._yaml = yaml
        self._events = events
        self._name = name
        self._anchors: dict[str, _Anchored] = {}
        self._problems: list[Problem] = []
        self._nodes = 0
        self._aliased = 0

    def document(self) -> Document:
        events, yaml = self._events, self._yaml
        next(events)  # the stream's start
        if isinstance(next(events), yaml.StreamEndEvent):
            return Document(None, ())
        root = self._node(next(events), 0)
        next(events)  # the document's end
        after = next(events)
        if not isinstance(after, yaml.StreamEndEvent):
            self._problem(after, "a manifest is one YAML document; another one begins here.")
        return Document(root, tuple(self._problems))

    def _node(self, event: yaml.Event, depth: int) -> Node:
        kind = type(event)
        if kind is self._yaml.AliasEvent:
            return self._alias(event)
        before = self._nodes
        self._nodes += 1
        if kind is self._yaml.ScalarEvent:
            node: Node = self._scalar(event)
        else:
            if depth >= MAX_DEPTH:
                raise self._stop(event, f"lists and mappings are nested more than {MAX_DEPTH} deep.")
            node = self._sequence(event, depth) if kind is self._yaml.SequenceStartEvent else self._map(event, depth)
        anchor = event.anchor  # type: ignore[attr-defined]
        if anchor is not None:
            # Only now, so that nothing can hold itself.
            self._anchors[anchor] = _Anchored(node, self._nodes - before)
        return node

    def _alias(self, event: Any) -> Node:
        found = self._anchors.get(event.anchor)
        if found is None:
            raise self._stop(event, f"*{event.anchor} refers to nothing that is marked &{event.anchor} before it.")
        own = self._nodes - self._aliased
        self._nodes += found.weight
        self._aliased += found.weight
        if self._aliased > FREE_ALIASED + ALIASED_PER_OWN * own:
            raise self._stop(event, f"aliases (*{event.anchor}) make too much of this file: {self._aliased:,} values.")
        return found.node

    def _scalar(self, event: Any) -> Scalar:
        mark, tag, text = event.start_mark, event.tag, event.value
        plain = not event.style
        if tag is not None:
            plain = tag in _PLAIN_TAGS
            if not plain and tag not in _STRING_TAGS:
                self._refuse_tag(event)
        if event.style == '"' and (bad := unusable_character(text)):
            self._problem(event, f"text cannot hold the character {bad}.")
            text = ""
        return Scalar(mark.line + 1, mark.column + 1, Plain(text) if plain else text)

    def _sequence(self, event: Any, depth: int) -> Sequence:
        if event.tag not in (None, "!", _TAG + "seq"):
            self._refuse_tag(event)
        items = []
        while type(inner := next(self._events)) is not self._yaml.SequenceEndEvent:
            items.append(self._node(inner, depth + 1))
        return Sequence(event.start_mark.line + 1, event.start_mark.column + 1, items)

    def _map(self, event: Any, depth: int) -> Mapping:
        if event.tag not in (None, "!", _TAG + "map"):
            self._refuse_tag(event)
        entries: dict[str, Entry] = {}
        merged: list[Mapping] = []
        merges = 0
        while type(inner := next(self._events)) is not self._yaml.MappingEndEvent:
            key = self._key(inner, depth)
            node = self._node(next(self._events), depth + 1)
            if key is None:
                continue
            if type(key.value) is Plain and key.value == "<<":
                merges += 1
                if merges > 1:
                    self._problem(inner, "<< stands twice in one mapping; write one with a list: <<: [*a, *b].")
                merged += self._merged(inner, node)
            else:
                self._enter(entries, inner, key, node)
        for source in merged:  # what is nearer wins: the mapping's own keys, then the merged ones in their order
            for name, entry in source.entries.items():
                entries.setdefault(name, entry)
        return Mapping(event.start_mark.line + 1, event.start_mark.column + 1, entries)

    def _key(self, event: Any, depth: int) -> Scalar | None:
        key = self._node(event, depth + 1)
        if isinstance(key, Scalar):
            return key
        self._problem(event, "a list or mapping cannot be a key; put quotes round text that begins with [ or {.")
        return None

    def _enter(self, entries: dict[str, Entry], event: Any, key: Scalar, node: Node) -> None:
        name = str(key.value)
        mark = event.start_mark
        if name in entries:
            first = entries[name]
            at = f"line {first.line}, column {first.column}"
            self._problem(event, f"{shown(name)} is given twice in one mapping; the first is at {at}.")
            return
        entries[name] = Entry(mark.line + 1, mark.column + 1, node)

    def _merged(self, event: Any, node: Node) -> list[Mapping]:
        sources = node.items if isinstance(node, Sequence) else [node]
        found = [source for source in sources if isinstance(source, Mapping)]
        if len(found) != len(sources):
            self._problem(event, "<< takes a mapping or a list of mappings, such as <<: *defaults.")
        return found

    def _refuse_tag(self, event: Any) -> None:
        tag = event.tag.replace(_TAG, "!!")
        self._problem(event, f"the tag {shown(tag)} is refused; a manifest needs no tags.")

    def _problem(self, event: Any, message: str) -> None:
        self._problems.append(Problem(self._place(event), message))

    def _stop(self, event: Any, message: str) -> ManifestInvalid:
        return ManifestInvalid([*self._problems, Problem(self._place(event), message)])

    def _place(self, event: Any) -> Place:
        return Place(self._name, event.start_mark.line + 1, event.start_mark.column + 1)
