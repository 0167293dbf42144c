"""What shrinking makes of a failing case."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import pytest

from benchmarks.fuzzing.asking import outcome
from benchmarks.fuzzing.bench import Bench
from benchmarks.fuzzing.cases import Case, Query
from benchmarks.fuzzing.formulas import Atom, Node
from benchmarks.fuzzing.networks import Described, onnx_bytes, random_network, without
from benchmarks.fuzzing.shrink import shrunk
from benchmarks.fuzzing.truth import Truth

F = Fraction


class ForgetfulBench(Bench):
    """Writes networks without the first neuron of their first layer."""

    def file(self, network: Described) -> Path:
        path = super().file(network)
        path.write_bytes(onnx_bytes(without(network, 0, (0,))))
        return path


def wide_case() -> Case:
    network = random_network(random.Random("wide-0"))
    box = tuple((F(-2), F(7, 8)) for _ in range(network.inputs))
    high = Atom(((network.inputs, F(1)),), ">=", F(-1, 3))
    low = Atom(((network.inputs, F(-1)), (0, F(1, 3))), "<=", F(100))
    return Case(network, box, Query(Node("or", (Node("and", (high, low)), high)), 2))


def test_a_failing_case_shrinks_and_still_fails(tmp_path: Path) -> None:
    case = wide_case()
    with ForgetfulBench(tmp_path, timeout=1.0) as bench:

        def fails(candidate: Case) -> bool:
            return outcome(bench, candidate, Truth(candidate.networks, candidate.box)).word == "wrong"

        small = shrunk(case, fails)
        assert fails(small)
    neurons = [sum(len(layer.bias) for layer in c.network.layers[:-1]) for c in (case, small)]
    assert neurons[1] < neurons[0]
    assert isinstance(small.question, Query)
    assert isinstance(small.question.formula, Atom)


def test_what_does_not_fail_is_not_shrunk() -> None:
    with pytest.raises(ValueError, match="does not fail"):
        shrunk(wide_case(), lambda _: False)
