"""Witnesses: parsing both forms, and the replay by the rules of each year, on a network that is computed by hand."""

from __future__ import annotations

import gzip
from fractions import Fraction
from pathlib import Path

import pytest

from secateur.specification import Query, parse_query
from secateur.vnncomp.rules import RULES
from secateur.vnncomp.witness import WitnessStatus, check_witness, parse_witness
from tests.vnncomp.tiny import tiny_model, tiny_query

HOLDS, CREDITED, WRONG = WitnessStatus.ESTABLISHES, WitnessStatus.CREDITED, WitnessStatus.WRONG
MALFORMED, UNSUPPORTED = WitnessStatus.MALFORMED, WitnessStatus.UNSUPPORTED

TWO = """(vnnlib-version <2.0>)
(declare-network f (declare-input X float32 [1,1]) (declare-output Y float32 [1,1]))
(declare-network g (declare-input U float32 [1,1]) (declare-output V float32 [1,1]))
(assert (<= X[0,0] 1.0)) (assert (>= X[0,0] 0.0))
(assert (== X[0,0] U[0,0])) (assert (>= Y[0,0] V[0,0]))
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """y = max(0, 2x - 1)."""
    path = tmp_path_factory.mktemp("witness") / "net.onnx"
    path.write_bytes(tiny_model(2.0, -1.0))
    return {"": path}


@pytest.fixture(scope="module")
def query() -> Query:
    """x in [0, 1], y >= 0.5: satisfied from x = 0.75."""
    return parse_query(tiny_query("0", "1", "(>= Y_0 0.5)"))


@pytest.mark.parametrize(
    ("text", "in_2025", "in_2026"),
    [
        ("((X_0 0.875) (Y_0 0.75))", HOLDS, HOLDS),
        ("((X_0 0.875))", HOLDS, HOLDS),
        ("(  (X_0   8.75e-1)\n(Y_0 0.75)\n)\n", HOLDS, HOLDS),
        ("((X_0 0.75) (Y_0 0.5))", HOLDS, HOLDS),
        ("((X_0 0.7499999) (Y_0 0.49999995))", HOLDS, WRONG),  # outputs within 1e-7, but below 0.5
        ("((X_0 0.74999) (Y_0 0.49998))", CREDITED, WRONG),
        ("((X_0 0.7) (Y_0 0.4))", WRONG, WRONG),
        ("((X_0 1.00005) (Y_0 1.0001))", CREDITED, CREDITED),
        ("((X_0 1.0000000000001) (Y_0 1))", HOLDS, HOLDS),  # in 2026 what the network sees is the float32 number 1
        ("((X_0 1.0000001) (Y_0 1.0000002))", HOLDS, CREDITED),  # one float32 step outside the box
        ("((X_0 1.001) (Y_0 1.002))", WRONG, WRONG),
        ("((X_0 0.875) (Y_0 0.7505))", CREDITED, HOLDS),  # claimed output off by 7e-4
        ("((X_0 0.875) (Y_0 0.8))", WRONG, HOLDS),
        ("((X_0 0.5) (Y_0 0.0000001))", WRONG, WRONG),
        ("((X_0 1e300) (Y_0 1))", WRONG, WRONG),
        ("((X_0 1e3000) (Y_0 1))", WRONG, WRONG),
        ("", MALFORMED, MALFORMED),
        ("((X_0 0.875) (Y_0 0.75)", MALFORMED, MALFORMED),
        ("((X_0 0.875) (Y_0 nan))", MALFORMED, MALFORMED),
        ("((X_1 0.875) (Y_0 0.75))", MALFORMED, MALFORMED),
        ("((Y_0 0.75) (X_0 0.875))", MALFORMED, MALFORMED),
        ("((X_0 0.875) (Y_0 0.75) (Y_1 0))", MALFORMED, MALFORMED),
        ("((X_0 0.875) oops (Y_0 0.75))", MALFORMED, MALFORMED),
        ("damaged", MALFORMED, MALFORMED),
    ],
)
def test_replay_by_the_rules_of_each_year(
    network: dict[str, Path], query: Query, text: str, in_2025: WitnessStatus, in_2026: WitnessStatus
) -> None:
    assert check_witness(text, network, query, RULES[2025]) is in_2025
    assert check_witness(text, network, query, RULES[2026]) is in_2026


def test_a_query_that_the_replay_cannot_run_is_unsupported(network: dict[str, Path], tmp_path: Path) -> None:
    wide = parse_query("(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)(assert (<= X_0 1))")
    assert check_witness("((X_0 0) (X_1 0) (Y_0 0))", network, wide, RULES[2026]) is UNSUPPORTED
    tall = parse_query("(declare-const X_0 Real)(declare-const Y_0 Real)(declare-const Y_1 Real)(assert (<= X_0 1))")
    assert check_witness("((X_0 0))", network, tall, RULES[2026]) is UNSUPPORTED
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    good = parse_query(tiny_query("0", "1", "(>= Y_0 0.5)"))
    for path in (broken, tmp_path / "missing.onnx"):
        assert check_witness("((X_0 0.875))", {"": path}, good, RULES[2026]) is UNSUPPORTED


def test_two_networks_in_the_form_of_version_2(tmp_path: Path) -> None:
    (tmp_path / "f.onnx").write_bytes(tiny_model(2.0, -1.0))
    (tmp_path / "g.onnx.gz").write_bytes(gzip.compress(tiny_model(2.0, -1.0, shift=-0.25)))
    networks, query = {"f": tmp_path / "f.onnx", "g": tmp_path / "g.onnx.gz"}, parse_query(TWO)
    text = "X float32 [1,1]\n0.875\nY float32 [1,1]\n0.75\nU float32 [1,1]\n0.875\nV float32 [1,1]\n0.5\n"
    witness = parse_witness(text, query)
    assert witness.inputs == (Fraction("0.875"), Fraction("0.875"))
    assert witness.outputs == (Fraction("0.75"), Fraction("0.5"))
    assert check_witness(text, networks, query, RULES[2026]) is HOLDS
    assert check_witness(text, {"f": networks["g"], "g": networks["f"]}, query, RULES[2026]) is WRONG
    assert check_witness(text.replace("U float32", "W float32"), networks, query, RULES[2026]) is MALFORMED
    assert check_witness(text.replace("[1,1]", "[2,1]", 1), networks, query, RULES[2026]) is MALFORMED
    assert check_witness(text + "1\n", networks, query, RULES[2026]) is MALFORMED
    assert check_witness(text[:-4], networks, query, RULES[2026]) is MALFORMED
    assert check_witness(text, {"f": networks["f"]}, query, RULES[2026]) is UNSUPPORTED
