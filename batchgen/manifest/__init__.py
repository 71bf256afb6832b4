"""What the user wrote, read into runs: every problem of a manifest at once, or none at all.

`load` is the way in. The modules behind it are imported when it is called, because PyYAML and jsonschema cost more
start-up time than most commands take.
"""

from __future__ import annotations

from pathlib import Path

from batchgen.manifest.shapes import LoadOptions, Manifest

__all__ = ["LoadOptions", "Manifest", "load"]

DEFAULT_OPTIONS = LoadOptions()


def load(path: Path, options: LoadOptions = DEFAULT_OPTIONS) -> Manifest:
    """Read, coerce and validate a manifest; its format goes by the file's extension.

    Raises `errors.ManifestInvalid` with every problem, sorted by place, and `errors.UsageProblem` where the file or a
    schema cannot be used at all.
    """
    from batchgen.manifest.loading import load_manifest

    return load_manifest(path, options)
