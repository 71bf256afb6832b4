"""Starter manifests for `batchgen init`: small, explained, and ready to run as they are."""

from __future__ import annotations

from batchgen.errors import UsageProblem

_YAML = """\
# yaml-language-server: $schema=batchgen.schema.json
# For completion in your editor, make that file once: batchgen schema > batchgen.schema.json

# A list of videos to make. First look at it, then rehearse it for nothing, then run it:
#   batchgen validate FILE
#   batchgen run FILE --sandbox
#   batchgen run FILE

model: bytedance/seedance-1.5-pro   # for every run that names no other; "batchgen models" lists them all

defaults:                # parameters that every run has, unless it says otherwise
  aspect_ratio: 16:9     # needs no quotes here; what a value is, the model's schema decides
  resolution: 480p       # 480p is the cheapest to try things out with
  duration: 4            # seconds: 4, 8 or 12
  generate_audio: false  # sound about doubles the price

runs:
  # The id is the run's name in the state, and in its file's name. Keep it, and you can reword the prompt later and be
  # asked before the new version costs anything.
  - id: lighthouse
    prompt: A lighthouse on a cliff at dawn, waves below, slow aerial shot

  - id: tea
    prompt: "Close-up: steam rises from a cup of green tea"   # quotes, because of the colon followed by a space
    aspect_ratio: 9:16
    generate_audio: true

  # Without an id a run is named after its prompt and its parameters: change either, and it is another run.
  - A paper boat drifts down a rainy street gutter, low camera

  # Images are given by web address; the service takes no local files. One is the first frame, two are first and last.
  # - prompt: The portrait slowly begins to smile
  #   image_urls: [https://example.com/portrait.jpg]

# Options of "batchgen run" can stand here as well; the command line wins over them.
# output: {dir: videos}
# settings: {max_cost: 5, concurrency: 4}
"""

_CSV = """\
id,prompt,aspect_ratio,resolution,duration,generate_audio,image_urls
lighthouse,"A lighthouse on a cliff at dawn, waves below, slow aerial shot",16:9,480p,4,no,
tea,Close-up of steam rising from a cup of green tea,9:16,480p,4,yes,
,A paper boat drifts down a rainy street gutter,1:1,480p,4,no,
"""

_STARTERS = {"yaml": _YAML, "csv": _CSV}


def starter(kind: str) -> str:
    """A starter manifest of a kind, "yaml" or "csv", which `load` takes as it is; raises `UsageProblem` for another.

    CSV knows no comments, so its starter explains nothing: an empty cell is a parameter that is not given, and several
    image addresses stand in one cell with a bar between them.
    """
    text = _STARTERS.get(kind.lower())
    if text is None:
        raise UsageProblem(f"there is no starter manifest of the kind {kind!r}.", "Choose yaml or csv.")
    return text
