"""The faults that `benchmarks/mutate_kernels.py` plants fit today's sources: the list cannot go stale unnoticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.kernel_faults import FAULTS, Fault

SOURCES = Path(__file__).parents[1]


@pytest.mark.parametrize("file", sorted({fault.path for fault in FAULTS}))
def test_every_fault_can_be_planted_and_changes_what_the_file_does(file: str) -> None:
    text = (SOURCES / file).read_text()
    assert [reason for fault in FAULTS if fault.path == file and (reason := fault.unfit(text))] == []


def test_there_are_many_and_each_is_another_one() -> None:
    assert len(set(FAULTS)) == len(FAULTS) >= 50


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("x + 2", "x - 2", "'x + 2' occurs 0 times, not once"),
        ("x", "y", "'x' occurs 2 times, not once"),
        ("x + 1", "x +", "with 'x +' it is no Python any more: invalid syntax"),
        ("# one", "# two", "'# two' changes nothing"),
    ],
)
def test_faults_that_do_not_fit_are_told(old: str, new: str, reason: str) -> None:
    assert Fault("some.py", old, new).unfit("y = x + 1  # one of x\n") == f"some.py: {reason}"
