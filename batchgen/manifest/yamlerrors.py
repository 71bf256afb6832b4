"""What the YAML parser complains of, in the words of someone who writes prompts."""

from __future__ import annotations

from typing import Any

_QUOTE = "put quotes round text that holds it"

# The parser's words (a part of them), and what they come down to in a manifest. First match wins.
_MEANINGS = (
    ("mapping values are not allowed", f"a colon inside unquoted text, or a line indented too far; {_QUOTE}."),
    ("could not find expected ':'", "a key without its colon, or text that goes on less indented than it began."),
    (
        "did not find expected key",
        "this line fits no mapping around it: look at its indentation, and for an open quote.",
    ),
    ("expected <block end>", "this line fits nothing around it: look at its indentation, and for an open quote."),
    ("did not find expected '-' indicator", "this line is not indented like the list around it."),
    ("did not find expected ',' or", "a list or mapping in brackets is not closed, or lacks a comma."),
    ("expected ',' or", "a list or mapping in brackets is not closed, or lacks a comma."),
    ("unexpected end of stream", "a quote is opened here and never closed."),
    ("unknown escape character", "a backslash in double quotes that means nothing; use single quotes, or \\\\."),
    ("expected escape sequence", "an escape in double quotes lacks its digits; use single quotes, or \\\\."),
    ("did not find expected node content", "a value is missing here, or a bracket is not closed."),
    ("incompatible YAML document", "a YAML version that is not known."),
    ("undefined tag handle", f"a tag that is not declared; an exclamation mark begins one: {_QUOTE}."),
    ("invalid Unicode character escape", "this escape is no character."),
    ("invalid unicode character escape", "this escape is no character."),
    ("special characters are not allowed", "a character that YAML does not allow."),
    ("control characters are not allowed", "a character that YAML does not allow."),
)
_STARTERS = {
    "\t": "a tab cannot indent; use spaces.",
    "@": "text cannot begin with @ unquoted; put quotes round it.",
    "`": "text cannot begin with ` unquoted; put quotes round it.",
    "%": "text cannot begin with % unquoted; put quotes round it.",
}


def explain(error: Any, text: str) -> tuple[int, int, str]:
    """Line and column (from 1) of a `yaml.YAMLError`, and what it says, in plain words."""
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be parsed")
    # An open quote is mended where it was opened, not at the end of the file, where the parser noticed.
    mark = getattr(error, "problem_mark", None)
    if "unexpected end of stream" in problem:
        mark = getattr(error, "context_mark", None) or mark
    if mark is None:
        return *_position(error, text), _message(problem, "")
    lines = text.split("\n", mark.line + 1)
    rest = lines[mark.line][mark.column :] if mark.line < len(lines) else ""
    return mark.line + 1, mark.column + 1, _message(problem, rest)


def _message(problem: str, rest: str) -> str:
    if "cannot start any token" in problem:
        return "not valid YAML: " + _STARTERS.get(rest[:1], f"text cannot begin like this unquoted; {_QUOTE}.")
    meaning = next((words for part, words in _MEANINGS if part in problem), f"{problem}.")
    if rest.startswith("\t"):
        meaning = _STARTERS["\t"]
    return "not valid YAML: " + meaning


def _position(error: Any, text: str) -> tuple[int, int]:
    """The place of a character that the parser's reader refuses; it counts in bytes (libyaml) or characters."""
    position = getattr(error, "position", None) or 0
    char = getattr(error, "character", None)
    if isinstance(char, int) and 0 <= char < 0x110000:
        position = max(text.find(chr(char)), 0)
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1
