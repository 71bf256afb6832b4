"""What people get wrong, and what they are told: the whole message, with its place and its suggestion."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.manifest.helpers import problems

SEEDANCE = "bytedance/seedance-1.5-pro"
RATIOS = "16:9, 9:16, 4:3, 3:4, 1:1, 21:9"
UNKNOWN_MODEL = "give its input schema with --schema, or send its runs unchecked with --unvalidated."
LOCAL = "is a local file, and the service documents no upload; give the image's http(s) address."
SAVE = "Save it as UTF-8 (in a spreadsheet: “CSV UTF-8”)."

NO_HEADER = "the first row must name the columns, such as prompt,aspect_ratio; it names none that is known."
COLON = "a colon inside unquoted text, or a line indented too far; put quotes round text that holds it."

MISTAKES = [
    # values that the model does not take
    ("yaml", "- {prompt: x, duration: 10}", ["1:25: duration must be one of 4, 8, 12, not 10. Did you mean 8?"]),
    ("yaml", "- {prompt: x, duration: 5s}", ["1:25: duration must be one of 4, 8, 12, not 5s. Did you mean 4?"]),
    (
        "yaml",
        "- prompt: x\n  resolution: 1080P",
        ["2:15: resolution must be one of 480p, 720p, 1080p, not 1080P. Did you mean 1080p?"],
    ),
    (
        "csv",
        "prompt,aspect_ratio\nx,16:09:00",
        [f"2:aspect_ratio: aspect_ratio must be one of {RATIOS}, not 16:09:00. Did you mean 16:9?"],
    ),
    ("yaml", "- {prompt: x, generate_audio: maybe}", ["1:31: generate_audio must be true or false, not maybe."]),
    ("yaml", "- {prompt: [a, b]}", ["1:12: prompt must be text, not a list of 2."]),
    ("jsonl", '{"prompt": {"text": "x"}}', ["1:prompt: prompt must be text, not a mapping."]),
    (
        "yaml",
        "- {model: kling/kling-3.0, prompt: x, duration: 5s}",
        ["1:49: duration must be a number, not 5s. Did you mean 5?"],
    ),
    ("yaml", "- {prompt: x, image_urls: [a.png]}", [f"1:28: a.png {LOCAL}"]),
    ("csv", "prompt,image_urls\nx,https://a.example/1|C:\\b.png", [f'2:image_urls: "C:\\b.png" {LOCAL}']),
    # names
    ("yaml", "- {promt: x}", [f"1:4: {SEEDANCE} takes no parameter promt. Did you mean prompt?"]),
    ("yaml", "- {duration: 4}", [f"1:3: prompt is missing; {SEEDANCE} requires it."]),
    (
        "yaml",
        "- {prompt: x, model: google/veo-3, duration: 4}",
        ["1:36: google/veo-3 takes no parameter duration."],
    ),
    (
        "yaml",
        "- {prompt: x, model: seedance-1.5-pr}",
        [f"1:22: unknown model seedance-1.5-pr; {UNKNOWN_MODEL} Did you mean {SEEDANCE}?"],
    ),
    (
        "yaml",
        "model: klingon\nruns: [x, y]",
        [f"1:8: unknown model klingon; {UNKNOWN_MODEL} Did you mean kling/kling-3.0?"],
    ),
    (
        "csv",
        "Prompt,durration\nx,10",
        [
            "1:Prompt: unknown column Prompt. Did you mean prompt?",
            "1:durration: unknown column durration. Did you mean duration?",
            "2:duration: duration must be one of 4, 8, 12, not 10. Did you mean 8?",
        ],
    ),
    ("csv", "id,prompt\na,A lamp\nb,", [f"3:prompt: prompt is missing; {SEEDANCE} requires it."]),
    ("csv", "id,duration\na,4\nb,4", ["1:1: the column prompt is missing."]),
    (
        "csv",
        "A cat on a mat\nA dog",
        [f'1:"A cat on a mat": {NO_HEADER}'],
    ),
    (
        "csv",
        "prompt,,prompt\nx,y,z",
        [
            "1:2: a column without a name.",
            "1:prompt: the column prompt stands twice: as number 1 and as number 3.",
        ],
    ),
    # the form of a table
    (
        "csv",
        "prompt,duration\nA cat, on a mat,4",
        [
            '2:duration: duration must be one of 4, 8, 12, not "on a mat".',
            "2:3: this row has 3 cells, but the header names 2 columns; put quotes round a cell that holds a comma.",
        ],
    ),
    (
        "csv",
        'prompt\n"never closed\nand on',
        ["2:1: a quote is opened in this row and never closed; write a quote inside a quoted cell twice."],
    ),
    (
        "csv",
        'prompt\n"a" cat',
        ["2:1: a comma must follow a closing quote; quote the whole cell, and write a quote inside it twice."],
    ),
    # the form of YAML
    ("yaml", "runs:\n\t- x", ["2:1: not valid YAML: a tab cannot indent; use spaces."]),
    (
        "yaml",
        "- prompt: A cat: sitting",
        [f"1:16: not valid YAML: {COLON}"],
    ),
    (
        "yaml",
        "- A cat: sitting",
        [
            f"1:3: prompt is missing; {SEEDANCE} requires it.",
            '1:3: "A cat" is no parameter; put quotes round a prompt that holds a colon.',
        ],
    ),
    (
        "yaml",
        "- prompt: x\n  id: a\n  prompt: y",
        ["3:3: prompt is given twice in one mapping; the first is at line 1, column 3."],
    ),
    ("yaml", "- {prompt: x, input: {prompt: y}}", ["1:23: prompt is given twice: here and at line 1, column 4."]),
    ("yaml", "- prompt: 'x", ["1:11: not valid YAML: a quote is opened here and never closed."]),
    ("yaml", "- x\n---\n- y", ["2:1: a manifest is one YAML document; another one begins here."]),
    (
        "yaml",
        "- prompt: !!python/name:os.system x",
        ['1:11: the tag "!!python/name:os.system" is refused; a manifest needs no tags.'],
    ),
    ("yaml", "- *cat", ["1:3: *cat refers to nothing that is marked &cat before it."]),
    # the blocks of a manifest
    ("yaml", "run: [x]", ["1:1: unknown key run in the manifest. Did you mean runs?"]),
    ("yaml", "duration: 4\nruns: [x]", ["1:1: duration is a parameter: put it under defaults, or in a run."]),
    ("yaml", "runs: {a: {prompt: x}}", ["1:7: runs must be a list: begin each run with a hyphen."]),
    (
        "yaml",
        "settings: {concurency: 4, changed: rendr, max_cost: lots}\nruns: [x]",
        [
            "1:12: unknown setting concurency. Did you mean concurrency?",
            "1:36: changed must be one of render, keep, not rendr. Did you mean render?",
            "1:53: max_cost must be an amount in US dollars, such as 5 or 2.50, not lots.",
        ],
    ),
    ("yaml", "output: videos\nruns: [x]", ["1:9: output must be a mapping, such as output: {dir: videos}."]),
    ("yaml", "defaults: {id: a}\nruns: [x]", ["1:12: an id belongs to one run, not to defaults."]),
    (
        "yaml",
        "model: hailuo/pro\ndefaults: {model: google/veo-3}\nruns: [x]",
        ["2:19: defaults names another model than line 1; keep one of the two."],
    ),
    ("yaml", "runs: []", ["1:7: the manifest holds no runs, so there is nothing to render."]),
    ("txt", "\n \n", ["1:1: the manifest holds no runs, so there is nothing to render."]),
    # ids
    ("yaml", "- {id: ' ', prompt: x}", ["1:8: id is empty."]),
    ("csv", "id,prompt\na,x\na,y", ["3:id: the id a is given twice; the first is at 2:id."]),
    ("yaml", '- {id: "a\\nb", prompt: x}', ["1:8: id holds a control character or a line break."]),
    ("jsonl", '{"id": true, "prompt": "x"}', ["1:id: id must be text, not true."]),
    # JSON Lines
    (
        "jsonl",
        '[\n{"prompt": "x"}]',
        [
            "1:2: each line of a JSON Lines file is one run; this looks like a JSON array.",
            "2:16: this is not JSON: Extra data.",
        ],
    ),
    ("jsonl", '{"prompt": "x", "prompt": "y"}', ['1:1: "prompt" is given twice.']),
    ("jsonl", '{"prompt": "\\ud83d"}', ["1:1: text cannot hold the character U+D83D."]),
    # encodings
    ("txt", "Grüße".encode("latin-1"), [f"1:3: the byte 0xFC is not UTF-8; the file is in another encoding. {SAVE}"]),
    ("csv", "prompt\nx".encode("utf-16"), [f"1:1: the file is UTF-16, not UTF-8. {SAVE}"]),
    ("yaml", b"- a\n- b\0", ["2:4: the file holds a NUL byte, so it is not a text manifest."]),
    ("yaml", "- prompt: ''", ["1:11: prompt is empty."]),
]


@pytest.mark.parametrize(("kind", "text", "expected"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_told_in_words(tmp_path: Path, kind: str, text: str | bytes, expected: list[str]) -> None:
    assert problems(tmp_path, kind, text) == expected


def test_all_problems_come_at_once_and_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (
        "runs:\n- {prompt: a, duration: 5}\n- {promt: b}\n- {prompt: c, resolution: 4k, aspect_ratio: 2:1}\nrunz: 1\n"
    )
    places = [problem.split(": ")[0] for problem in problems(tmp_path, "yaml", text)]
    assert places == ["2:25", "3:4", "4:27", "4:45", "5:1"]
