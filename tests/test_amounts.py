"""Whole numbers in messages."""

from __future__ import annotations

import pytest

from secateur.amounts import count, plural
from secateur.one_answer import tell_beside
from secateur.search import Holds, SearchStatistics


def test_one_is_singular_and_thousands_are_separated() -> None:
    assert count(13500) == "13,500"
    assert [plural(n, "neuron") for n in (0, 1, 2)] == ["0 neurons", "1 neuron", "2 neurons"]
    assert [plural(n, "leaf", "leaves") for n in (1, 2000)] == ["1 leaf", "2,000 leaves"]


def test_what_a_verdict_took_is_told_in_proper_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    for nodes, residuals in ((1, 1), (2, 0)):
        tell_beside(Holds(statistics=SearchStatistics(nodes, residuals, 0.5)))
    said = capsys.readouterr().err.splitlines()
    assert said == ["1 sub-domain, 1 residual query, 0.50 s of search", "2 sub-domains, 0 residual queries, 0.50 s of search"]
