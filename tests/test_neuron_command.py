"""`secateur neuron` and `secateur.redundancy`: standard output to the letter, and one line for bad input."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

import secateur
from secateur.cli import main
from secateur.network import to_model_bytes
from tests.killing import DYING
from tests.search.queries import layered

F = Fraction
# Layer 1: x, -x. Layer 2: |x| - 1, x. Outputs: their sum and difference.
BOTH = [[1.0, 1.0], [1.0, -1.0]]
NETWORK = layered(([[1.0], [-1.0]], [0.0, 0.0]), (BOTH, [-1.0, 0.0]), (BOTH, [0.0, 0.0]))
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.onnx").write_bytes(to_model_bytes(NETWORK))
    (tmp_path / "domain.json").write_text('{"lower": ["-1"], "upper": ["1"]}')
    (tmp_path / "wide.json").write_text('{"lower": ["-2"], "upper": ["2"]}')
    return tmp_path


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*words: str, domain: str = "domain.json") -> tuple[int, str, str]:
        options = ["neuron", str(folder / "net.onnx"), "--domain", str(folder / domain), "--jobs", "1", "--timeout", "20", *words]
        code = main(options)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


def test_a_phase(run: Run) -> None:
    code, out, err = run("--layer", "2", "--index", "0", "--kind", "phase")
    assert (code, out) == (0, "holds\nclaim: neuron 0 of layer 2 has one phase on D\nneuron 0: inactive on D\n")
    assert "of search" in err


def test_no_phase_is_shown_by_two_points(run: Run) -> None:
    code, out, _ = run("--layer", "2", "--index", "0,1", "--kind", "phase", domain="wide.json")
    lines = out.splitlines()
    assert (code, lines[:2]) == (0, ["violated", "claim: neurons 0, 1 of layer 2 each have one phase on D"])
    assert len(lines) == 4
    values = []
    for line in lines[2:]:
        name, z, point = line.replace(": z = ", "|").replace(" at x = ", "|").split("|")
        assert F(z) == (abs(F(point)) - 1 if name == "neuron 0" else F(point))
        values.append(F(z))
    assert values[0] > 0 > values[1]


def test_a_change_is_shown_by_a_point_and_the_values_there(run: Run) -> None:
    code, out, _ = run("--layer", "1", "--index", "0", "--kind", "relaxed", "--tolerance", "1/4", "--replace", "zero")
    lines = out.splitlines()
    assert (code, lines[:3]) == (
        0,
        ["violated", "claim: linearising neuron 0 of layer 1 changes no output on D by more than 0.25", "neuron 0: r -> 0"],
    )
    x = F(lines[3].removeprefix("at x = "))
    assert F(1, 4) < x <= 1
    name, one, other, difference = re.split(", linearised |, difference |: ", lines[4])
    assert (name, F(one), F(other), F(difference)) == ("value 0", x, 0, x)


@pytest.mark.parametrize(
    ("words", "answer", "line"),
    [
        (("--layer", "2", "--index", "0", "--kind", "forward"), "holds", "neuron 0: r -> 0, inactive on D"),
        (("--layer", "2", "--index", "1", "--kind", "relaxed", "--tolerance", "1.1"), "holds", "neuron 1: r -> 0"),
        (("--layer", "2", "--index", "1", "--kind", "result"), "violated", "neuron 1: r -> 0"),
        (("--layer", "2", "--index", "1", "--kind", "result", "--margin", "2"), "holds", "neuron 1: r -> 0"),
        (("--layer", "1", "--index", "1", "--kind", "forward", "--lookahead", "1"), "holds", "neuron 1: r -> 0"),
    ],
)
def test_kinds(run: Run, words: tuple[str, ...], answer: str, line: str) -> None:
    code, out, _ = run(*words)
    assert code == 0
    assert out.splitlines()[0] == answer
    assert out.splitlines()[2] == line


def test_what_is_not_decided_in_time_is_unknown_with_its_reason(run: Run) -> None:
    code, out, err = run("--layer", "2", "--index", "0", "--kind", "forward", "--timeout", "0.000001")
    assert (code, out.splitlines()[0]) == (0, "unknown")
    assert "secateur: the time limit of 1e-06 s is used up" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--layer", "3", "--index", "0", "--kind", "phase"), "net.onnx: there is no ReLU layer 3; layers count from 1 to 2"),
        (("--layer", "1", "--index", "7", "--kind", "phase"), "layer 1 has no neuron 7; its neurons count from 0 to 1"),
        (("--layer", "1", "--index", "a", "--kind", "phase"), "argument --index: 'a' is no list of numbers such as 3 or 3,7"),
        (("--layer", "1", "--index", "0", "--kind", "what"), "--kind: unknown kind of redundancy 'what'; choose one of phase,"),
        (("--layer", "1", "--index", "0", "--kind", "relaxed"), "--tolerance: is missing"),
        (("--layer", "1", "--index", "0", "--kind", "relaxed", "--tolerance", "nan"), "--tolerance: 'nan' is not a finite"),
        (("--layer", "1", "--index", "0", "--kind", "relaxed", "--tolerance=-1"), "--tolerance: tolerance -1 is not positive"),
        (("--layer", "1", "--index", "0", "--kind", "phase", "--margin", "0"), "--margin: is only for --kind result"),
        (("--layer", "1", "--index", "0", "--kind", "forward", "--lookahead", "0"), "--lookahead: 0 layers on is not beyond"),
        (("--layer", "1", "--index", "0", "--kind", "phase", "--timeout", "-1"), "--timeout: time limit -1.0 is not a positive"),
    ],
)
def test_bad_input_in_one_line(run: Run, words: tuple[str, ...], message: str) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("secateur: error: ")
    assert message in err.splitlines()[-1]


def test_a_domain_of_another_dimension(run: Run, folder: Path) -> None:
    (folder / "two.json").write_text('{"lower": ["0", "0"], "upper": ["1", "1"]}')
    code, _, err = run("--layer", "1", "--index", "0", "--kind", "phase", domain="two.json")
    assert code == 2
    assert "the domain has 2 coordinates but the network has 1 inputs; give a domain of dimension 1" in err


def test_from_python(folder: Path) -> None:
    found = secateur.redundancy(folder / "net.onnx", 2, [1], secateur.Box([-1], [1]), "relaxed", tolerance="0.5", jobs=1)
    assert isinstance(found, secateur.Redundancy)
    assert isinstance(found.verdict, secateur.Violated)
    with secateur.Engine(jobs=1) as engine:
        claim = secateur.RedundancyClaim(2, (1,), "relaxed", tolerance=F(1))
        again = engine.redundancy(folder / "net.onnx", claim, folder / "domain.json")
    assert isinstance(again.verdict, secateur.Holds)
    with pytest.raises(secateur.InputError, match="tolerance: nan is not a finite number"):
        secateur.redundancy(folder / "net.onnx", 2, [1], folder / "domain.json", "relaxed", tolerance=float("nan"))


# --- certificates


@pytest.mark.parametrize(
    ("words", "answer", "statement"),
    [
        (("--layer", "2", "--index", "1", "--kind", "relaxed", "--tolerance", "1.1"), "holds", "max |N(x) - N'(x)| <= 11/10"),
        (("--layer", "2", "--index", "1", "--kind", "relaxed", "--tolerance", "0.5"), "violated", "1/2"),
        (("--layer", "2", "--index", "1", "--kind", "result", "--margin", "2.5"), "holds", "by more than 5/2"),
        (("--layer", "2", "--index", "1", "--kind", "result"), "violated", "it is false that"),
        (("--layer", "1", "--index", "0", "--kind", "relaxed", "--lookahead", "1", "--tolerance", "1.1"), "holds", "layer 2"),
        (("--layer", "1", "--index", "0", "--kind", "relaxed", "--lookahead", "1", "--tolerance", "1/2"), "violated", "neuron 1"),
        (("--layer", "1", "--index", "0,1", "--kind", "relaxed", "--lookahead", "1", "--tolerance", "1.1"), "holds", "layer 2"),
    ],
)
def test_certificates_are_accepted(run: Run, folder: Path, words: tuple[str, ...], answer: str, statement: str) -> None:
    path = folder / "claim.cert"
    code, out, err = run(*words, "--replace", "zero", "--certificate", str(path))
    assert (code, out.splitlines()[0]) == (0, answer)
    assert f"the linearised network: {folder / 'claim.linearised.onnx'}" in err
    accepted = secateur.check(path)
    assert isinstance(accepted, secateur.Accepted)
    assert statement in accepted.statement
    (folder / "claim.linearised.onnx").write_bytes((folder / "net.onnx").read_bytes())
    assert isinstance(secateur.check(path), secateur.Refused)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--kind", "phase"), "phases have no certificate of their own; secateur prune certifies them"),
        (
            ("--kind", "relaxed", "--tolerance", "1", "--replace", "line"),
            "the linearised network is not storable in float32, so there can be no certificate",
        ),
    ],
)
def test_what_has_no_certificate_is_said_in_one_line(run: Run, folder: Path, words: tuple[str, ...], message: str) -> None:
    (folder / "odd.json").write_text('{"lower": ["-1"], "upper": ["0.7"]}')
    before = sorted(folder.iterdir())
    code, out, err = run("--layer", "1", "--index", "0", *words, "--certificate", str(folder / "x.cert"), domain="odd.json")
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert sorted(folder.iterdir()) == before


def test_a_kill_between_the_two_files_does_not_stop_the_next_run(run: Run, folder: Path) -> None:
    words = ["--layer", "2", "--index", "1", "--kind", "result", "--margin", "2.5", "--certificate", str(folder / "x.cert")]
    known = [str(folder / "net.onnx"), "--domain", str(folder / "domain.json")]
    code = f"{DYING}\nfrom secateur.cli import main\ndie_at('os.rename', 1, 'x.cert')\nmain(['neuron', *sys.argv[1:]])"
    path = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    died = subprocess.run([sys.executable, "-c", code, *known, *words], check=False, env=path, capture_output=True)
    assert died.returncode == -9
    assert (folder / "x.linearised.onnx").exists()
    assert not (folder / "x.cert").exists()
    assert run(*words)[0] == 0
    assert isinstance(secateur.check(folder / "x.cert", strict=True), secateur.Accepted)
    assert not [p for p in folder.iterdir() if p.name.startswith(".")]
    code_again, _, err = run(*words)
    assert (code_again, "would overwrite" in err) == (2, True)


def test_a_network_of_somebody_else_is_not_overwritten(run: Run, folder: Path) -> None:
    mine = folder / "x.linearised.onnx"
    mine.write_bytes(b"mine")
    words = ["--layer", "2", "--index", "1", "--kind", "result", "--margin", "2.5", "--certificate", str(folder / "x.cert")]
    code, _, err = run(*words)
    assert (code, "would overwrite" in err, mine.read_bytes()) == (2, True, b"mine")


def test_a_certificate_that_would_be_a_folder_is_one_line(run: Run) -> None:
    code, out, err = run("--layer", "2", "--index", "1", "--kind", "result", "--margin", "2.5", "--certificate", ".")
    assert (code, out) == (2, "")
    assert "is a folder; name a file in it" in err


def test_an_undecided_claim_leaves_no_file(run: Run, folder: Path) -> None:
    before = sorted(folder.iterdir())
    words = ("--layer", "2", "--index", "1", "--kind", "result", "--timeout", "0.000001", "--certificate", str(folder / "x.cert"))
    assert run(*words)[1].splitlines()[0] == "unknown"
    assert sorted(folder.iterdir()) == before
