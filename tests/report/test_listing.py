from __future__ import annotations

import json

import pytest

from batchgen.models import registry
from batchgen.records import Place, Problem
from batchgen.report.listing import (
    MOST_PROBLEMS,
    model_json,
    model_text,
    models_json,
    models_text,
    problems_json,
    problems_text,
)
from batchgen.report.words import cells


def all_models() -> list[registry.Model]:
    return [model for name in registry.model_ids() if (model := registry.get(name))]


def test_every_model_has_a_line_with_its_parameters() -> None:
    text = models_text(all_models(), width=200)
    assert all(f"\n{model.id} " in f"\n{text}" for model in all_models())
    assert "prompt, aspect_ratio, duration, mode, image_urls" in text


@pytest.mark.parametrize("width", [60, 80])
def test_lines_fit_into_the_terminal(width: int) -> None:
    assert all(cells(line) <= width for line in models_text(all_models(), width=width).splitlines())


@pytest.mark.parametrize("name", registry.model_ids())
def test_one_model_shows_all_that_it_takes(name: str) -> None:
    model = registry.get(name)
    assert model
    text = model_text(model, width=120)
    assert all(f"  {parameter}" in text for parameter in model.input_schema["properties"])
    assert "prompt*" in text
    assert model_json(model)["required"] == ["prompt"]


def test_values_and_usual_times_are_shown() -> None:
    model = registry.get("bytedance/seedance-1.5-pro")
    assert model
    text = model_text(model, width=120)
    assert "4 | 8 | 12" in text
    assert "true | false" in text
    assert "list of strings" in text
    assert "4 s of video: usually 40 s to 1 min" in text


def test_models_as_json() -> None:
    data = json.loads(json.dumps(models_json(all_models())))
    assert data[0]["model"] == "bytedance/seedance-1.5-pro"
    assert "prompt" in data[0]["parameters"]


def problem(line: int, message: str = "duration must be one of 4, 8, 12.") -> Problem:
    return Problem(Place("a.yaml", line, 5), message, '"4"')


def test_a_problem_stands_at_its_place_with_its_suggestion() -> None:
    assert problems_text([problem(3)]) == 'a.yaml:3:5: duration must be one of 4, 8, 12. Did you mean "4"?'


def test_of_very_many_problems_the_first_are_shown_and_the_rest_counted() -> None:
    lines = problems_text([problem(n) for n in range(1, 1201)]).splitlines()
    assert len(lines) == MOST_PROBLEMS + 1
    assert lines[-1] == f"… and {1200 - MOST_PROBLEMS:,} more; --json lists all"
    assert len(problems_json([problem(n) for n in range(1200)])) == 1200


def test_a_problem_that_quotes_a_hostile_file_stays_on_its_line() -> None:
    text = problems_text([problem(1, "not \x1b[2J\n" + "x" * 5000)])
    assert text.startswith("a.yaml:1:5: not \\x1b[2J xxx")
    assert len(text) <= 1000


def test_problems_as_json_have_their_place_in_parts() -> None:
    assert problems_json([Problem(Place("a.csv", 2, "duration"), "no")]) == [
        {"file": "a.csv", "line": 2, "column": "duration", "message": "no", "suggestion": None}
    ]
