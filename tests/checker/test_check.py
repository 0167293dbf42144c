"""Whole certificates: accepted with the statement in words, by the function and by the command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from secateur.checker import Accepted, CheckInputError, Counts, Refused, check, main
from tests.checker.support import Case, dense_model, random_case, write_certificate

ENGINE = Path(__file__).resolve().parents[2] / "engine"


@pytest.mark.parametrize("seed", range(12))
def test_proofs_of_random_networks_are_accepted_in_both_arithmetics(seed: int, tmp_path: Path) -> None:
    case = random_case(seed, steps=seed % 4)
    write_certificate(tmp_path, case)
    nodes = sum(len(symbols) for _, _, symbols in case.trees)
    neurons = sum(len(claims) for claims, _, _ in case.trees)
    assert nodes > 0
    for arithmetic in ("fast", "exact"):
        verdict = check(tmp_path, arithmetic=arithmetic)  # type: ignore[arg-type]
        assert isinstance(verdict, Accepted)
        assert (verdict.counts, verdict.trusted) == (Counts(neurons, 0, nodes), ())
        assert f"{neurons} neurons proven inactive, 0 active; {nodes:,} tree nodes" in verdict.statement
        assert f"replayed in {arithmetic} integer arithmetic." in verdict.statement


def test_the_statement_names_both_files_and_the_box(tmp_path: Path) -> None:
    case = random_case(5)
    verdict = check(write_certificate(tmp_path, case) / "certificate.secateur")
    assert isinstance(verdict, Accepted)
    assert verdict.statement.startswith("Verified: for all x in D, max |N(x) - N'(x)| = 0, where N = net.onnx (sha256 ")
    assert "N' = reduced.onnx (sha256 " in verdict.statement
    assert "D = the box of 2 inputs in domain.json (sha256 " in verdict.statement


def test_a_tolerance_is_part_of_the_statement(tmp_path: Path) -> None:
    case = random_case(5)
    case.tolerance = "2/2000"
    verdict = check(write_certificate(tmp_path, case))
    assert isinstance(verdict, Accepted)
    assert "max |N(x) - N'(x)| <= 1/1000, where" in verdict.statement


def test_files_given_by_hand_must_be_the_certified_ones(tmp_path: Path) -> None:
    case = random_case(5)
    folder = write_certificate(tmp_path, case)
    moved = tmp_path / "moved.onnx"
    (tmp_path / "net.onnx").rename(moved)
    verdict = check(folder, original=moved)
    assert isinstance(verdict, Accepted)
    assert "N = moved.onnx" in verdict.statement
    assert check(folder, original=folder / "reduced.onnx") == Refused(
        "hash", "original", "reduced.onnx is not the file that was certified"
    )


def test_a_solvers_word_is_named_and_refused_when_strict(tmp_path: Path) -> None:
    case = random_case(5)
    claims, _, _ = case.trees.pop()
    case.solver = [{"claim": claim, "by": "z3 5.4.0"} for claim in claims]
    folder = write_certificate(tmp_path, case)
    verdict = check(folder)
    assert isinstance(verdict, Accepted)
    assert verdict.trusted[0] == "neuron 0 of layer 3 inactive in the original network, by z3 5.4.0"
    assert f"Trusted, not verified: {'; '.join(verdict.trusted)}." in verdict.statement
    assert verdict.statement.startswith("Verified, given the trusted facts named below: for all x in D")
    verified = len(case.interval) + sum(len(proven) for proven, _, _ in case.trees)
    assert verdict.counts.inactive + verdict.counts.active == verified
    assert check(folder, strict=True) == Refused(
        "solver", "original solver 0", "'neuron 0 of layer 3 inactive' rests on the word of z3 5.4.0 alone"
    )


def deep_case() -> Case:
    """Thirty-three layers, more than the fast arithmetic takes; the last neuron is inactive, so the network is constant."""
    keep, last, output = ((np.float32([[w]]), np.float32([b])) for w, b in ((1, 0), (-1, -0.5), (1, 0.25)))
    original, reduced = (
        dense_model([*[keep] * 32, last, output]),
        dense_model([(np.float32([[0]]), output[1])]),
    )
    trees = [([[33, 0, "inactive"]], 1, [1, 0, 0])]
    return Case(
        original,
        reduced,
        '{"lower": [-1], "upper": [1.5]}',
        {"original": [30] * 33, "reduced": []},
        trees=trees,
    )


def test_what_is_beyond_the_fast_arithmetic_is_checked_exactly(tmp_path: Path) -> None:
    case = deep_case()
    said: list[str] = []
    folder = write_certificate(tmp_path, case)
    assert check(folder, progress=lambda text, _: said.append(text)) == Refused(
        "tree", "original tree 0 node 0", "is split, but no claim is open"
    )
    assert "original tree 0: out of the range of the fast arithmetic; checking it exactly" in said
    case.trees = [([[33, 0, "inactive"]], 1, [0])]
    assert isinstance(check(write_certificate(tmp_path, case)), Accepted)


@pytest.mark.parametrize("missing", ["certificate.secateur", "net.onnx", "reduced.onnx", "domain.json"])
def test_a_missing_file_is_bad_input_and_no_verdict(missing: str, tmp_path: Path) -> None:
    folder = write_certificate(tmp_path, random_case(5))
    (folder / missing).unlink()
    with pytest.raises(
        CheckInputError, match=r"cannot be read: No such file|holds neither certificate\.secateur nor fam"
    ) as caught:
        check(folder)
    assert "\n" not in str(caught.value)


def test_the_command_tells_by_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(write_certificate(tmp_path, random_case(5)))
    assert main([folder, "--arithmetic", "exact"]) == 0
    assert capsys.readouterr().out.startswith("Verified: ")
    assert main([folder, "--reduced", str(tmp_path / "net.onnx")]) == 1
    assert capsys.readouterr().out == "Refused: hash, reduced: net.onnx is not the file that was certified\n"
    assert main([folder, "--original", str(tmp_path / "nowhere.onnx")]) == 2
    assert capsys.readouterr().err.startswith("secateur: error: ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the following arguments are required: path"),
        (["a", "b"], "unrecognized arguments: b"),
        (["a", "--jobs", "x"], "argument --jobs: invalid int value: 'x'"),
        (["a", "--arithmetic", "decimal"], "argument --arithmetic: invalid choice: 'decimal'"),
    ],
)
def test_what_is_wrong_with_the_words_is_said_in_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"secateur: error: {said}")
    assert line.endswith("; see secateur check --help")


def test_the_checker_runs_on_the_standard_library_alone(tmp_path: Path) -> None:
    folder = str(write_certificate(tmp_path, random_case(5)))
    code = (
        "import sys\n"
        "for name in ('numpy', 'numba', 'onnx', 'onnxruntime', 'pysmt'): sys.modules[name] = None\n"
        "from secateur.checker import main\n"
        f"code = main([{folder!r}])\n"
        "others = [m for m in sys.modules if m.startswith('secateur.') and not m.startswith('secateur.checker')]\n"
        "sys.exit(code or len(others))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ENGINE)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "replayed in exact integer arithmetic." in done.stdout
