"""A YAML manifest's outline: runs, the defaults that they share, and the blocks beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from batchgen.manifest import document
from batchgen.manifest.document import Mapping, Node, Sequence
from batchgen.manifest.settings_block import Settings, read_settings
from batchgen.manifest.shapes import NO_RUNS, RESERVED, SUGGESTED, Draft, Path_, Row, Text, drained, is_absent
from batchgen.manifest.source import Source
from batchgen.manifest.suggest import nearest, shown
from batchgen.records import Place, Problem

ROOT_KEYS = ("model", "defaults", "runs", "output", "settings")
EXTENSION = "x-"
"""Keys at the root that begin like this are the user's own: a place for anchors."""


class _Marked(Protocol):
    line: int
    column: int


class _Parts(NamedTuple):
    """A run's or the defaults' mapping: the parameters, and its own keys apart from them."""

    params: dict[str, Node]
    id: Node | None = None
    model: Node | None = None


def read_yaml(source: Source, parameters: frozenset[str]) -> Draft:
    """The draft of a YAML manifest. `parameters` are all known ones, for a hint where one stands at the root.

    Raises `ManifestInvalid` where the text is not YAML.
    """
    found = document.parse(source.text, source.name)
    reader = _Reader(source.name, parameters, list(found.problems))
    return reader.draft(found.root)


class _Reader:
    """Reads one document and gathers what is wrong with it."""

    def __init__(self, name: str, parameters: frozenset[str], problems: list[Problem]) -> None:
        self._name = name
        self._parameters = parameters
        self._problems = problems

    def draft(self, root: Node | None) -> Draft:
        entries = self._entries(root)
        defaults = self._default_parts(_given(entries, "defaults"))
        model = self._default_model(_given(entries, "model"), defaults.model)
        return Draft(
            settings=self._settings(_given(entries, "settings")),
            output_dir=self._output_dir(_given(entries, "output")),
            rows=self._rows(_given(entries, "runs"), root),
            locate=_NodePlaces(self._name, defaults.params),
            problems=self._problems,
            defaults=defaults.params,
            default_model=self._text(model, "model"),
            default_model_place=None if model is None else self._place(model),
        )

    def _entries(self, root: Node | None) -> Mapping:
        entries = Mapping()
        if isinstance(root, Mapping):
            entries = root
        elif isinstance(root, Sequence):
            entries["runs"] = root
        elif root is not None and not is_absent(root):
            self._add(
                root, "a manifest is a list of runs, or a mapping with the key runs; one prompt a line goes in .txt."
            )
        for key in entries.keys() - set(ROOT_KEYS):
            at = entries.key(key)
            if key in self._parameters:
                self._add(at, f"{key} is a parameter: put it under defaults, or in a run.")
            elif not key.startswith(EXTENSION) and not getattr(entries[key], "anchored", False):
                near = nearest(key, ROOT_KEYS) if len(self._problems) < SUGGESTED else None
                self._add(at, f"unknown key {shown(key)} in the manifest.", near)
        return entries

    def _default_parts(self, node: Node | None) -> _Parts:
        if node is None:
            return _Parts({})
        if not isinstance(node, Mapping):
            self._add(node, "defaults must be a mapping of parameters.")
            return _Parts({})
        parts = self._parts(node)
        if parts.id is not None:
            self._add(node.key("id"), "an id belongs to one run, not to defaults.")
        return parts

    def _default_model(self, at_root: Node | None, in_defaults: Node | None) -> Node | None:
        if at_root is None or in_defaults is None:
            return in_defaults if at_root is None else at_root
        if at_root != in_defaults:
            self._add(in_defaults, f"defaults names another model than line {at_root.line}; keep one of the two.")
        return at_root

    def _settings(self, node: Node | None) -> Settings:
        if node is None:
            return {}
        if not isinstance(node, Mapping):
            self._add(node, "settings must be a mapping.")
            return {}
        settings, problems = read_settings(node, self._name)
        self._problems += problems
        return settings

    def _output_dir(self, node: Node | None) -> str | None:
        if node is None:
            return None
        if not isinstance(node, Mapping):
            self._add(node, "output must be a mapping, such as output: {dir: videos}.")
            return None
        for key in node.keys() - {"dir"}:
            self._add(node.key(key), f"unknown key {shown(key)} in output.", nearest(key, ("dir",)))
        return self._text(_given(node, "dir"), "dir")

    def _rows(self, node: Node | None, root: Node | None) -> Iterator[Row]:
        if node is None:
            if not self._problems:
                self._problems.append(Problem(Place(self._name, 1) if root is None else self._place(root), NO_RUNS))
            return iter(())
        if not isinstance(node, Sequence):
            self._add(node, "runs must be a list: begin each run with a hyphen.")
            return iter(())
        if not node:
            self._add(node, NO_RUNS)
        return (row for item in drained(node) if (row := self._row(item)) is not None)

    def _row(self, node: Node) -> Row | None:
        if isinstance(node, Mapping):
            params, given_id, model = self._parts(node)
            return Row(node.line, params, self._text(given_id, "id"), self._text(model, "model"), node)
        if isinstance(node, Text) and not is_absent(node):
            return Row(node.line, {"prompt": node}, origin=node)
        self._add(node, "a run is a mapping of parameters, or just its prompt.")
        return None

    def _parts(self, node: Mapping) -> _Parts:
        """Parameters stand flat beside `id` and `model`, or under `input`, or some here and some there."""
        params = {key: value for key, value in node.items() if key not in RESERVED}
        inner = _given(node, "input")
        if isinstance(inner, Mapping):
            for key in inner.keys() & params.keys():
                first = node.key(key)
                message = f"{shown(key)} is given twice: here and at line {first.line}, column {first.column}."
                self._add(inner.key(key), message)
            params |= inner
        elif inner is not None:
            self._add(inner, "input must be a mapping of parameters.")
        return _Parts(params, _given(node, "id"), _given(node, "model"))

    def _text(self, node: Node | None, what: str) -> str | None:
        if node is None or isinstance(node, Text):
            return None if node is None else str(node)
        self._add(node, f"{what} must be text.")
        return None

    def _add(self, at: _Marked, message: str, suggestion: str | None = None) -> None:
        self._problems.append(Problem(self._place(at), message, suggestion))

    def _place(self, at: _Marked) -> Place:
        return Place(self._name, at.line, at.column)


class _NodePlaces:
    """The locator of a YAML manifest: its places are those of the keys and values themselves."""

    def __init__(self, name: str, defaults: dict[str, Node]) -> None:
        self._name = name
        self._defaults = Mapping(defaults)

    def __call__(self, row: Row, path: Path_, at_key: bool = False, /) -> Place:
        """The place of a key or value of the run, or else of the default that it was taken from."""
        node: Any = row.origin
        if not path or (path == ("prompt",) and isinstance(node, Text)):
            return self._place(node)
        name = str(path[0])
        own = node if isinstance(node, Mapping) else Mapping()
        for holder in (own, own.get("input"), self._defaults):
            if not isinstance(holder, Mapping) or name not in holder:
                continue
            if holder is self._defaults and at_key and "model" in own:
                # The run chose a model that does not go with this default: the choice is what to look at.
                return self._place(own["model"])
            key = holder.key(name)
            return self._place(key if at_key and len(path) == 1 else _inner(holder[key], path[1:]))
        return self._place(node)

    def _place(self, at: _Marked) -> Place:
        return Place(self._name, at.line, at.column)


def _given(entries: Mapping, name: str) -> Node | None:
    """What stands under a key, unless it is null."""
    node = entries.get(name)
    return None if node is None or is_absent(node) else node


def _inner(node: Node, path: Path_) -> Node:
    """The node at the end of a path, or the last one on the way there."""
    for step in path:
        if isinstance(node, Sequence) and isinstance(step, int) and step < len(node):
            node = node[step]
        elif isinstance(node, Mapping) and str(step) in node:
            node = node[node.key(str(step))]
        else:
            break
    return node
