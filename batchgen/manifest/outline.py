"""A YAML manifest's outline: runs, the defaults that they share, and the blocks beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from batchgen.manifest import document
from batchgen.manifest.document import Entry, Mapping, Node, Scalar, Sequence, value_of
from batchgen.manifest.settings_block import Settings, read_settings
from batchgen.manifest.shapes import Draft, Path_, Row, is_absent
from batchgen.manifest.source import Source
from batchgen.manifest.suggest import nearest, shown
from batchgen.records import Place, Problem

ROOT_KEYS = ("model", "defaults", "runs", "output", "settings")
EXTENSION = "x-"
"""Keys at the root that begin like this are the user's own: a place for anchors."""

_NO_RUNS = "the manifest holds no runs, so there is nothing to render."


@dataclass(frozen=True, slots=True)
class _Parts:
    """A run's or the defaults' mapping, its own keys apart from the parameters."""

    params: dict[str, Entry] = field(default_factory=dict)
    id: Entry | None = None
    model: Entry | None = None


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
        self._defaults = _Parts()

    def draft(self, root: Node | None) -> Draft:
        entries = self._entries(root)
        defaults = entries.get("defaults")
        if defaults is not None and not _absent(defaults):
            self._defaults = self._default_parts(defaults.node)
        settings = self._settings(entries.get("settings"))
        output_dir = self._output_dir(entries.get("output"))
        model = self._default_model(entries.get("model"))
        rows = self._rows(entries.get("runs"), root)
        return Draft(
            rows=rows,
            locate=self._locate,
            problems=self._problems,
            defaults={name: value_of(entry.node) for name, entry in self._defaults.params.items()},
            default_model=self._text(model, "model") if model else None,
            default_model_place=self._place(model.node) if model else None,
            settings=settings,
            output_dir=output_dir,
        )

    def _entries(self, root: Node | None) -> dict[str, Entry]:
        if root is None or (isinstance(root, Scalar) and is_absent(root.value)):
            return {}
        if isinstance(root, Sequence):
            return {"runs": Entry(root.line, root.column, root)}
        if isinstance(root, Scalar):
            self._add(
                root, "a manifest is a list of runs, or a mapping with the key runs; one prompt a line goes in .txt."
            )
            return {}
        for name, entry in root.entries.items():
            if name not in ROOT_KEYS and not name.startswith(EXTENSION):
                self._unknown_root_key(name, entry)
        return root.entries

    def _unknown_root_key(self, name: str, entry: Entry) -> None:
        if name in self._parameters:
            self._add(entry, f"{name} is a parameter: put it under defaults, or in a run.")
        else:
            self._add(entry, f"unknown key {shown(name)} in the manifest.", nearest(name, ROOT_KEYS))

    def _default_parts(self, node: Node) -> _Parts:
        if not isinstance(node, Mapping):
            self._add(node, "defaults must be a mapping of parameters.")
            return _Parts()
        parts = self._parts(node)
        if parts.id is not None:
            self._add(parts.id, "an id belongs to one run, not to defaults.")
        return parts

    def _default_model(self, at_root: Entry | None) -> Entry | None:
        given = [entry for entry in (at_root, self._defaults.model) if entry is not None and not _absent(entry)]
        if len(given) == 2 and value_of(given[0].node) != value_of(given[1].node):
            self._add(given[1], f"defaults names another model than line {given[0].line}; keep one of the two.")
        return given[0] if given else None

    def _settings(self, entry: Entry | None) -> Settings:
        if entry is None or _absent(entry):
            return {}
        if not isinstance(entry.node, Mapping):
            self._add(entry.node, "settings must be a mapping.")
            return {}
        settings, problems = read_settings(entry.node, self._name)
        self._problems += problems
        return settings

    def _output_dir(self, entry: Entry | None) -> str | None:
        if entry is None or _absent(entry):
            return None
        if not isinstance(entry.node, Mapping):
            self._add(entry.node, "output must be a mapping, such as output: {dir: videos}.")
            return None
        for name, inner in entry.node.entries.items():
            if name != "dir":
                self._add(inner, f"unknown key {shown(name)} in output.", nearest(name, ("dir",)))
        folder = entry.node.entries.get("dir")
        return self._text(folder, "dir") if folder and not _absent(folder) else None

    def _rows(self, entry: Entry | None, root: Node | None) -> list[Row]:
        if entry is None or _absent(entry):
            if not self._problems:
                self._problems.append(Problem(self._place(root) if root else Place(self._name, 1), _NO_RUNS))
            return []
        if not isinstance(entry.node, Sequence):
            self._add(entry.node, "runs must be a list: begin each run with a hyphen.")
            return []
        if not entry.node.items:
            self._add(entry, _NO_RUNS)
        return [row for node in entry.node.items if (row := self._row(node)) is not None]

    def _row(self, node: Node) -> Row | None:
        if isinstance(node, Mapping):
            parts = self._parts(node)
            return Row(
                line=node.line,
                params={name: value_of(entry.node) for name, entry in parts.params.items()},
                id=self._text(parts.id, "id") if parts.id and not _absent(parts.id) else None,
                model=self._text(parts.model, "model") if parts.model and not _absent(parts.model) else None,
                origin=node,
            )
        if isinstance(node, Scalar) and not is_absent(node.value):
            return Row(line=node.line, params={"prompt": node.value}, origin=node)
        self._add(node, "a run is a mapping of parameters, or just its prompt.")
        return None

    def _parts(self, node: Mapping) -> _Parts:
        """Parameters stand flat beside `id` and `model`, or under `input`, or some here and some there."""
        params = {name: entry for name, entry in node.entries.items() if name not in ("id", "model", "input")}
        inner = node.entries.get("input")
        if inner is not None and not _absent(inner):
            if isinstance(inner.node, Mapping):
                for name, entry in inner.node.entries.items():
                    if name in params:
                        at = f"line {params[name].line}, column {params[name].column}"
                        self._add(entry, f"{shown(name)} is given twice: here and at {at}.")
                    params[name] = entry
            else:
                self._add(inner.node, "input must be a mapping of parameters.")
        return _Parts(params, node.entries.get("id"), node.entries.get("model"))

    def _text(self, entry: Entry, what: str) -> str | None:
        if isinstance(entry.node, Scalar):
            return str(entry.node.value)
        self._add(entry.node, f"{what} must be text.")
        return None

    def _locate(self, row: Row, path: Path_, at_key: bool = False) -> Place:
        node: Any = row.origin
        if not path or not isinstance(node, Mapping):
            return self._place(node)
        entry = node.entries.get(str(path[0])) or self._parameter(node, str(path[0]))
        if entry is None:
            # From the defaults. Where the run chose another model, it is that choice which does not go with them.
            entry = node.entries.get("model") or self._defaults.params.get(str(path[0]))
            path = path[:1] if entry is node.entries.get("model") else path
            at_key = at_key and "model" not in node.entries
        if entry is None:
            return self._place(node)
        if at_key and len(path) == 1:
            return self._place(entry)
        return self._place(_inner(entry.node, path[1:]))

    def _parameter(self, node: Mapping, name: str) -> Entry | None:
        inner = node.entries.get("input")
        return inner.node.entries.get(name) if inner and isinstance(inner.node, Mapping) else None

    def _add(self, at: Node | Entry, message: str, suggestion: str | None = None) -> None:
        self._problems.append(Problem(self._place(at), message, suggestion))

    def _place(self, at: Node | Entry) -> Place:
        return Place(self._name, at.line, at.column)


def _absent(entry: Entry) -> bool:
    return isinstance(entry.node, Scalar) and is_absent(entry.node.value)


def _inner(node: Node, path: Path_) -> Node:
    """The node at the end of a path, or the last one on the way that has a place of its own."""
    for step in path:
        if isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
        elif isinstance(node, Mapping) and str(step) in node.entries:
            node = node.entries[str(step)].node
        else:
            break
    return node
