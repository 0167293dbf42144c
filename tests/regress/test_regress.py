"""Cases that once went wrong or are apt to, each a JSON file beside this one, as benchmarks/fuzzing/shrink.py writes them.

expected : the true answer. may_be_unknown : whether the engine may leave it undecided.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.fuzzing.asking import outcome
from benchmarks.fuzzing.bench import Bench
from benchmarks.fuzzing.cases import from_json
from benchmarks.fuzzing.truth import Truth

FILES = sorted(Path(__file__).parent.glob("*.json"))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("bench"), timeout=3.0) as bench:
        yield bench


def test_there_are_cases() -> None:
    assert len(FILES) >= 10


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_answer_is_the_true_one(bench: Bench, file: Path) -> None:
    kept = json.loads(file.read_text())
    case = from_json(kept)
    found = outcome(bench, case, Truth(case.networks, case.box))
    if found.word == "unknown":
        assert kept["may_be_unknown"], found
    else:
        assert (found.word, found.answer) == ("agreed", kept["expected"]), found
