"""Queries about hidden values and about networks of several inputs and outputs, from the command line to the replayed witness."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from secateur.bounds import warmup
from secateur.cli import main
from secateur.specification import read_query
from secateur.vnncomp.rules import RULES
from secateur.vnncomp.witness import WitnessStatus, check_witness, parse_witness
from tests.onnx_models import model_bytes, node

F = Fraction
# h = a - b, y = relu(h), s = a + b, and a sigmoid that no output needs.
NODES = [node("Sub", ["a", "b"], "h"), node("Relu", ["h"]), node("Add", ["a", "b"], "s"), node("Sigmoid", ["h"], "curved")]
PORTS = {"inputs": {"a": [1, 1], "b": [1]}, "outputs": {"y": [1, 1], "s": [1, 1]}}
TENSORS = (
    '(declare-input A float32 [1,1]{}) (declare-input B float32 [1]{}) (declare-hidden H float32 [1,1] "{}")'
    " (declare-output Y float32 [1,1]{}) (declare-output S float32 [1,1]{})"
)
BOX = "(assert (and (>= A[0,0] -1.0) (<= A[0,0] 1.0) (>= B[0] -1.0) (<= B[0] 1.0)))"


@pytest.fixture(scope="module", autouse=True)
def kernels() -> None:
    warmup()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    path.write_bytes(model_bytes(NODES, **PORTS))
    return path


def words(model: Path, condition: str, *names: str, hidden: str = "h") -> list[str]:
    """A command line that asks for the condition; `names` are the ONNX names of A, B, Y and S."""
    a, b, y, s = (f' "{name}"' for name in names) if names else [""] * 4
    query = model.parent / "query.vnnlib"
    declared = TENSORS.format(a, b, hidden, y, s)
    query.write_text(f"(vnnlib-version <2.0>)\n(declare-network f {declared})\n{BOX}\n(assert {condition})\n")
    return ["verify", str(query), "--network", str(model), "--jobs", "1"]


def answer(line: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[str, dict[str, Fraction]]:
    """The verdict, and the assignment, which must hold when it is replayed."""
    assert main(line) == 0
    verdict, _, text = capsys.readouterr().out.partition("\n")
    if verdict != "sat":
        return verdict, {}
    query = read_query(line[1])
    assert check_witness(text, {"": Path(line[3])}, query, RULES[2026]) is WitnessStatus.ESTABLISHES
    assert parse_witness(text, query).inputs
    lines = text.splitlines()
    return verdict, {header.split()[0]: F(value) for header, value in zip(lines[::2], lines[1::2], strict=True)}


@pytest.mark.parametrize(
    ("condition", "verdict"),
    [
        ("(and (>= H[0,0] 0.5) (<= Y[0,0] 0.25))", "unsat"),
        ("(and (>= H[0,0] 0.5) (<= Y[0,0] 0.75))", "sat"),
        ("(and (<= H[0,0] -0.5) (>= S[0,0] 0.5))", "sat"),
        ("(and (<= H[0,0] -0.5) (>= S[0,0] 1.75))", "unsat"),
        ("(> Y[0,0] (+ H[0,0] 2.5))", "unsat"),
        ("(> Y[0,0] (+ H[0,0] 1.5))", "sat"),
        ("(>= (+ H[0,0] S[0,0] (* -1.5 A[0,0])) 0.625)", "unsat"),
        ("(>= A[0,0] 0.5)", "sat"),
    ],
)
def test_verdicts(condition: str, verdict: str, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, values = answer(words(model, condition), capsys)
    assert found == verdict
    if values:
        assert list(values) == ["A", "B", "H", "Y", "S"]
        a, b = values["A"], values["B"]
        assert [float(values[n]) for n in "HYS"] == pytest.approx([float(v) for v in (a - b, max(a - b, F(0)), a + b)], abs=1e-6)


def test_names_decide_which_tensor_is_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "net.onnx"
    model.write_bytes(model_bytes(NODES, inputs={"b": [1], "a": [1, 1]}, outputs={"s": [1, 1], "y": [1, 1]}))
    # h = a - b is large where a is: by position that is B, by name A.
    for names, first in (((), "B"), (("a", "b", "y", "s"), "A")):
        verdict, values = answer(words(model, "(>= H[0,0] 1.5)", *names), capsys)
        assert verdict == "sat"
        assert values[first] > 0
    assert answer(words(model, "(<= Y[0,0] -0.25)"), capsys)[0] == "sat"  # by position Y is the sum
    assert answer(words(model, "(<= Y[0,0] -0.25)", "a", "b", "y", "s"), capsys)[0] == "unsat"


def test_hidden_values_of_two_networks(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    query = model.parent / "two.vnnlib"
    declared = TENSORS.format("", "", "h", "", "")
    other = declared.translate(str.maketrans("ABHYS", "CDKZT"))
    ties = "(assert (and (== A[0,0] C[0,0]) (== B[0] D[0])))"
    text = f"(vnnlib-version <2.0>)(declare-network f {declared})(declare-network g (equal-to f) {other}){BOX}{ties}"
    line = ["verify", str(query), "--network", f"f={model}", "--jobs", "1"]
    for condition, expected in (("(>= K[0,0] (+ H[0,0] 0.001))", "unsat"), ("(and (>= K[0,0] 0.5) (<= T[0,0] 0.0))", "sat")):
        query.write_text(f"{text}(assert {condition})")
        assert main(line) == 0
        assert capsys.readouterr().out.split("\n")[0] == expected


def test_hidden_values_are_serialised(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = model.parent / "assignments"
    line = words(model, "(>= H[0,0] 0.5)")
    _, values = answer([*line, "--serialise-assignments", str(folder)], capsys)
    assert sorted(path.name for path in folder.iterdir()) == ["A.pb", "B.pb", "H.pb", "S.pb", "Y.pb"]
    for name, value in values.items():
        array = numpy_helper.to_array(onnx.load_tensor(folder / f"{name}.pb"))
        assert array.shape == ((1,) if name == "B" else (1, 1))
        assert np.float32(float(value)) == array.ravel()[0]


def refusal(line: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(line) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.splitlines()[-1].removeprefix("secateur: error: ")


def test_what_cannot_be_asked_is_one_line(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    condition = "(>= H[0,0] 0.5)"
    assert refusal(words(model, condition, hidden="nowhere"), capsys) == (
        f"{model}: hidden value H ('nowhere') is no node's output; "
        "a hidden value is the output of a node, by the tensor's name in the file"
    )
    curved = refusal(words(model, condition, hidden="curved"), capsys)
    assert "(Sigmoid, opset 13): hidden value H ('curved') cannot be read: operator is not supported" in curved
    named = refusal(words(model, condition, "a", "c", "y", "s"), capsys)
    assert named == f"{model}: has no input 'c', which the query gives for B; it has a, b"


def test_certificates_do_not_cover_them(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = ["--certificate", str(model.parent / "out.secateur")]
    line = words(model, "(>= Y[0,0] 0.5)")
    query = Path(line[1])
    assert refusal([*line, *target], capsys) == f"{query}: a certificate cannot cover hidden values; ask without a certificate"
    query.write_text(query.read_text().replace('(declare-hidden H float32 [1,1] "h")', ""))
    several = f"{query}: a certificate cannot cover several input or output tensors; ask without a certificate"
    assert refusal([*line, *target], capsys) == several
    query.write_text(
        "(vnnlib-version <2.0>)"
        '(declare-network f (declare-input A float32 [2] "a") (declare-output Y float32 [2] "y"))'
        "(assert (and (>= A[0] 0) (<= A[0] 1) (>= A[1] 0) (<= A[1] 1) (<= Y[0] 1)))"
    )
    model.write_bytes(model_bytes([node("Relu", ["a"])], inputs={"a": [2]}, outputs={"y": [2]}))
    names = f"{query}: a certificate cannot cover the ONNX names of inputs and outputs; ask without a certificate"
    assert refusal([*line, *target], capsys) == names
    assert main(line) == 0
    assert capsys.readouterr().out.startswith("sat\n")
    assert not (model.parent / "out.secateur").exists()


def test_pruning_refuses_several_inputs(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["prune", str(model), "--box=-1,1", "--out", str(model.parent / "out")]
    assert refusal(line, capsys).startswith(f"{model}: has 2 inputs (a, b), not one")
