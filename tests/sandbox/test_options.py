"""Options that make no sense are refused."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest

from batchgen.errors import UsageProblem
from batchgen.sandbox.options import SandboxOptions


@pytest.mark.parametrize(
    "given",
    [
        {"latency_scale": -1},
        {"latency_scale": math.nan},
        {"url_ttl": math.inf},
        {"rate_limit": (0, 10.0)},
        {"rate_limit": (20, 0.0)},
        {"balance_micro_usd": -1},
    ],
)
def test_a_value_without_sense_is_a_usage_problem(given: dict[str, Any]) -> None:
    with pytest.raises(UsageProblem):
        SandboxOptions(**given)


def test_options_and_faults_need_nothing_of_the_extra() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['av', 'PIL', 'starlette', 'uvicorn']));"
        "import batchgen.sandbox.options, batchgen.sandbox.faults as f; f.describe_faults();"
        "from batchgen.sandbox import require; from batchgen.errors import MissingExtra\n"
        "try: require()\n"
        "except MissingExtra as e: print(e)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "needs the extra “sandbox”" in done.stdout
