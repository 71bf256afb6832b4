"""What `batchgen init` writes, and the examples, run as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchgen.errors import UsageProblem
from batchgen.manifest import load
from batchgen.manifest.starter import starter
from tests.manifest.helpers import runs

EXAMPLES = Path(__file__).parents[2] / "manifests"


@pytest.mark.parametrize("kind", ["yaml", "csv"])
def test_a_starter_loads_as_it_is(tmp_path: Path, kind: str) -> None:
    found = runs(tmp_path, kind, starter(kind))
    assert [run.id for run in found[:2]] == ["lighthouse", "tea"]
    assert len(found) == 3


def test_another_kind_of_starter_is_a_usage_problem() -> None:
    with pytest.raises(UsageProblem, match="xlsx"):
        starter("xlsx")


def test_the_quickstart_is_short_and_varied() -> None:
    found = load(EXAMPLES / "quickstart.yaml").runs
    assert len(found) == 6
    assert len({run.input.get("aspect_ratio") for run in found}) == 6
    assert sum(run.input["duration"] == "4" for run in found) == 5
    assert {run.input["resolution"] for run in found} == {"480p", "720p"}
    assert [run.id for run in found if run.input["generate_audio"]] == ["street-food"]
    assert [run.id for run in found if not str(run.input["prompt"]).isascii()] == ["kintsugi"]


def test_the_products_are_four_rows() -> None:
    assert [run.id for run in load(EXAMPLES / "products.csv").runs] == ["mug", "sneaker", "watch", "lamp"]


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_every_example_is_valid(path: Path) -> None:
    assert load(path).runs
