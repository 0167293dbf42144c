"""What `benchmarks/ablation.py` takes out is there: a variant that changes nothing would say that a technique buys nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.ablation import VARIANTS, replace

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "all techniques"])
def test_a_variant_takes_something_out(variant: str) -> None:
    program = (
        "import sys\nfrom benchmarks import ablation\nreplaced = []\n"
        "before = ablation.replace\n"
        "def noted(place, name, value):\n"
        "    old = getattr(place, name)\n"
        "    before(place, name, value)\n"
        "    replaced.append(getattr(place, name) is not old)\n"
        "ablation.replace = noted\n"
        "ablation.VARIANTS[sys.argv[1]]()\n"
        "print(replaced)"
    )
    done = subprocess.run([sys.executable, "-c", program, variant], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[True]\n"


def test_what_is_not_there_cannot_be_taken_out() -> None:
    with pytest.raises(AttributeError, match="missing"):
        replace(sys, "missing", 1)
