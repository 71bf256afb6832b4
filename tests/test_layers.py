"""The import direction of the package, held on its syntax trees, and the sizes of its files and functions.

Every import counts: at the top, inside a function, and under TYPE_CHECKING.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

import batchgen

ROOT = Path(batchgen.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py"))

SHARED = frozenset({"records", "errors"})
# Which part may import which others (itself always). A part is a folder of the package, or a module at its top.
MAY_IMPORT: Mapping[str, frozenset[str]] = {
    "": frozenset(),  # the package's own __init__: its version
    "records": frozenset(),
    "errors": frozenset({"records"}),
    "events": frozenset({"records"}),
    "models": SHARED,
    "core": SHARED | {"events"},
    "settings": SHARED | {"core"},
    "manifest": SHARED | {"models", "core"},
    "service": SHARED | {"", "models", "core", "settings"},
    "store": SHARED | {"events", "models", "core"},
    # `engine.notices` is what a progress display is told; nothing else of the engine: see the test below.
    "report": SHARED | {"events", "models", "core", "engine"},
    "engine": SHARED | {"events", "models", "core", "settings", "manifest", "service", "store", "report"},
    "sandbox": SHARED | {"models"},
    "rehearse": SHARED | {"settings", "sandbox"},
    "options": SHARED | {"core", "settings"},
    "app": frozenset(
        {"", "events", "models", "core", "settings", "manifest", "service", "store", "report", "engine", "rehearse"}
    )
    | SHARED,
    "cli": SHARED | {"", "app", "options", "rehearse", "report"},
    "__main__": SHARED | {"cli", "report"},
}
IMPURE = frozenset({"httpx", "anyio", "aiofiles", "os", "time", "random", "pathlib", "asyncio", "socket", "threading"})

MOST_LINES, MOST_LINES_OF_A_FUNCTION = 300, 60
LONGER_FILES: Mapping[str, str] = {}  # file → why
LONGER_FUNCTIONS: Mapping[str, str] = {}  # file:function → why


def module_of(path: Path) -> str:
    """A file's dotted name: `batchgen.core.verdict`."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = frozenset(module_of(path) for path in FILES)


def part_of(module: str) -> str:
    """The part that a module of the package belongs to."""
    return [*module.split("."), ""][1]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes(), str(path))


def imports_of(path: Path) -> Iterator[str]:
    """Every module that the file imports, in full; of `from package import module` the module."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                yield inner if inner in MODULES else node.module or ""


def own_imports_of(path: Path) -> set[str]:
    """The modules of this package that the file imports."""
    return {name for name in imports_of(path) if name.split(".")[0] == "batchgen"}


def test_every_part_has_its_place_in_the_table() -> None:
    assert {part_of(module) for module in MODULES} <= MAY_IMPORT.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_imports_only_what_its_part_may(path: Path) -> None:
    part = part_of(module_of(path))
    wrong = {name for name in own_imports_of(path) if part_of(name) not in MAY_IMPORT[part] | {part}}
    assert not wrong, f"{part or 'the package'} may not import {wrong}"


def test_the_table_itself_has_no_way_back() -> None:
    """Only the display and the engine meet, and they do so in `engine.notices`, which imports neither."""
    done: set[str] = set()
    below = {part: allowed - ({"engine"} if part == "report" else set()) for part, allowed in MAY_IMPORT.items()}
    while rest := {part: allowed - done for part, allowed in below.items() if part not in done}:
        free = {part for part, allowed in rest.items() if not allowed}
        assert free, f"a circle among {sorted(rest)}"
        done |= free


def test_of_the_engine_the_report_imports_the_notices_only() -> None:
    for path in (ROOT / "report").rglob("*.py"):
        of_engine = {name for name in own_imports_of(path) if part_of(name) == "engine"}
        assert of_engine <= {"batchgen.engine.notices"}, path
    notices = own_imports_of(ROOT / "engine" / "notices.py")
    assert {part_of(name) for name in notices} <= SHARED | {"core", "events"}


@pytest.mark.parametrize("path", sorted((ROOT / "core").rglob("*.py")), ids=lambda path: path.name)
def test_the_core_reads_no_clock_no_dice_no_file_and_no_net(path: Path) -> None:
    assert not {name for name in imports_of(path) if name.split(".")[0] in IMPURE}


def test_only_the_service_and_its_rehearsal_know_the_http_library() -> None:
    users = {part_of(module_of(path)) for path in FILES if "httpx" in {n.split(".")[0] for n in imports_of(path)}}
    assert users <= {"service", "sandbox"}


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {module_of(path): own_imports_of(path) & MODULES for path in FILES}
    while leaves := {module for module, needed in graph.items() if not needed & graph.keys() - {module}}:
        graph = {module: needed for module, needed in graph.items() if module not in leaves}
    assert not graph, f"a circle among {sorted(graph)}"


def test_files_stay_short() -> None:
    sizes = {path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines()) for path in FILES}
    too_long = {name: size for name, size in sizes.items() if size > MOST_LINES}
    assert too_long.keys() == LONGER_FILES.keys(), too_long


def test_functions_fit_a_screen() -> None:
    too_long = {
        f"{path.relative_to(ROOT).as_posix()}:{node.name}": size
        for path in FILES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (size := (node.end_lineno or 0) - node.lineno + 1) > MOST_LINES_OF_A_FUNCTION
    }
    assert too_long.keys() == LONGER_FUNCTIONS.keys(), too_long
