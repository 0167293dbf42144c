"""`Engine.equivalent`, `Engine.distance` and their commands: from files to an answer, and one line for bad input."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import secateur
from secateur.bounds import warmup
from secateur.cli import main
from secateur.errors import InputError
from secateur.network import Interface, Network, to_model_bytes
from secateur.search import Holds, Verdict, Violated
from tests.bounds.support import random_network
from tests.search.queries import layered
from tests.search.test_pairing import shifted

F = Fraction
RELU = layered(([[1.0]], [0.0]), ([[1.0]], [0.0]))
HALF = layered(([[0.5]], [0.0]), ([[1.0]], [0.0]))
TWO = layered(([[1.0]], [0.0]), ([[1.0], [0.0]], [0.0, 0.0]))
TWO_LATER = layered(([[1.0]], [0.0]), ([[1.0], [0.0]], [-0.25, 0.0]))
PAIR_QUERY = (
    "(vnnlib-version <2.0>)"
    "(declare-network f (declare-input X float32 [1,3]) (declare-output Y float32 [1,2]))"
    "(declare-network g (declare-input U float32 [1,3]) (declare-output V float32 [1,2]))"
    "(assert (and (>= X[0,0] -1.0) (<= X[0,0] 1.0) (>= X[0,1] -1.0) (<= X[0,1] 1.0) (>= X[0,2] -1.0) (<= X[0,2] 1.0)))"
    "(assert (and (== X[0,0] U[0,0]) (== X[0,1] U[0,1]) (== X[0,2] U[0,2])))"
    "(assert (or (> Y[0,0] (+ V[0,0] {0})) (< Y[0,0] (- V[0,0] {0})) (> Y[0,1] (+ V[0,1] {0})) (< Y[0,1] (- V[0,1] {0}))))"
)


class Files:
    """A folder with networks and domains, made on demand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def network(self, name: str, network: Network) -> Path:
        path = self.folder / f"{name}.onnx"
        path.write_bytes(to_model_bytes(network))
        return path

    def domain(self, text: str = '{"lower": ["-1"], "upper": ["1"]}', name: str = "box.json") -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def words(self, command: str, first: Network = RELU, second: Network = HALF, *more: str) -> list[str]:
        files = self.network("a", first), self.network("b", second)
        return [command, *map(str, files), "--domain", str(self.domain()), "--jobs", "1", *more]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture(scope="module")
def engine() -> Iterator[secateur.Engine]:
    warmup()
    with secateur.Engine(jobs=1) as one:
        yield one


def ask(engine: secateur.Engine, files: Files, first: Network = RELU, second: Network = HALF, **claim: object) -> Verdict:
    paths = files.network("a", first), files.network("b", second)
    return engine.equivalent(*paths, secateur.Box(["-1"], ["1"]), timeout=20, **claim)  # type: ignore[arg-type]


# --- from Python


@pytest.mark.parametrize("epsilon", [0.51, "0.51", F(51, 100), np.float64(0.51)])
def test_epsilon_is_any_exact_number(engine: secateur.Engine, files: Files, epsilon: float | str | Fraction) -> None:
    assert isinstance(ask(engine, files, epsilon=epsilon), Holds)


def test_a_violation_shows_both_networks_at_a_point(engine: secateur.Engine, files: Files) -> None:
    verdict = ask(engine, files, epsilon="0.4")
    assert isinstance(verdict, Violated)
    (x, same), (y, other) = verdict.witness.exact_inputs, (v for (v,) in verdict.witness.exact_outputs)
    assert x == same
    assert (y, other) == (RELU.exact((x,)).output[0], HALF.exact((x,)).output[0])
    assert y - other > F(4, 10)


def test_decisions(engine: secateur.Engine, files: Files) -> None:
    assert isinstance(ask(engine, files, TWO, TWO_LATER, decision="argmax"), Violated)
    assert isinstance(ask(engine, files, TWO, TWO_LATER, decision="argmax", margin="0.26"), Holds)
    assert isinstance(ask(engine, files, TWO, TWO_LATER, decision="argmin", margin=F(1, 8)), Violated)
    assert isinstance(ask(engine, files, TWO, TWO_LATER, decision="argmin", margin=F(26, 100)), Holds)


def test_domains_come_from_files_and_networks_may_be_compressed(engine: secateur.Engine, files: Files) -> None:
    packed = files.folder / "a.onnx.gz"
    packed.write_bytes(gzip.compress(to_model_bytes(RELU)))
    other = files.network("b", HALF)
    text = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 -1))(assert (<= X_0 0.5))(assert (<= Y_0 0))"
    assert isinstance(secateur.equivalent(packed, other, files.domain(text, "box.vnnlib"), epsilon="0.26", jobs=1), Holds)
    assert isinstance(engine.equivalent(packed, other, files.domain(), epsilon="0.26"), Violated)


def test_distances_of_files(engine: secateur.Engine, files: Files) -> None:
    paths = files.network("a", RELU), files.network("b", HALF)
    for found in (
        engine.distance(*paths, files.domain(), timeout=20),
        secateur.distance(*paths, secateur.Box(["-1"], ["1"]), timeout=20, jobs=1),
    ):
        assert (found.lower, found.point, found.outputs) == (F(1, 2), (F(1),), ((F(1),), (F(1, 2),)))
        assert found.finished
        assert F(1, 2) <= found.upper <= F(51, 100)


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ({}, "neither an epsilon nor a decision is given"),
        ({"epsilon": 0.1, "decision": "argmax"}, "both an epsilon and a decision are given"),
        ({"epsilon": -0.5}, "epsilon -0.5 is negative"),
        ({"epsilon": float("nan")}, "nan is not a finite number"),
        ({"epsilon": "many"}, "'many' is not a finite number"),
        ({"epsilon": 0.1, "margin": 1}, "--margin: is only for --decision"),
        ({"decision": "max"}, "unknown decision 'max'; choose argmax or argmin"),
        ({"decision": "argmax", "margin": "-1/3"}, "margin -1/3 is negative"),
        ({"decision": "argmax", "margin": float("inf")}, "inf is not a finite number"),
        ({"decision": "argmax"}, "the decision: with 1 output there is none; ask for a tolerance of outputs"),
    ],
)
def test_claims_that_make_no_sense_are_refused(
    engine: secateur.Engine, files: Files, claim: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        ask(engine, files, **claim)


def test_networks_and_domains_that_do_not_fit_are_refused(engine: secateur.Engine, files: Files) -> None:
    one, wide = files.network("one", RELU), files.network("wide", layered(([[1.0, 1.0]], [0.0]), ([[1.0]], [0.0])))
    two, box = files.network("two", TWO), secateur.Box([-1], [1])
    for ask_for in (lambda *a: engine.equivalent(*a, epsilon=1), engine.distance):
        with pytest.raises(InputError, match="the networks have 1 and 2 inputs; compare networks for the same task"):
            ask_for(one, wide, box)
        with pytest.raises(InputError, match="the networks have 1 and 2 outputs"):
            ask_for(one, two, box)
        with pytest.raises(InputError, match="the domain has 2 coordinates but the network has 1 inputs"):
            ask_for(one, one, secateur.Box([-1, -1], [1, 1]))
        with pytest.raises(InputError, match=r"nowhere\.onnx: cannot be read"):
            ask_for(one, files.folder / "nowhere.onnx", box)
        with pytest.raises(InputError, match="cannot be read"):
            ask_for(one, one, files.folder / "nowhere.json")
    with pytest.raises(InputError, match="tolerance -1 is no share"):
        engine.distance(one, one, box, tolerance=-1)


def test_a_query_about_two_networks_is_answered_by_their_differences(engine: secateur.Engine, files: Files) -> None:
    """The same claim as a VNN-LIB query takes as few sub-domains."""
    first = random_network([3, 16, 16, 16, 2], seed=4)
    second = shifted(first, 2.0**-13)
    query = files.folder / "pair.vnnlib"
    query.write_text(PAIR_QUERY.format("0.01"))
    shape = Interface(input_shape=(1, 3), output_shape=(1, 2))
    models = {name: files.network(name, Network(3, n.layers, n.output, shape)) for name, n in (("f", first), ("g", second))}
    asked = engine.verify(models, query, timeout=20)
    direct = engine.equivalent(models["f"], models["g"], secateur.Box([-1] * 3, [1] * 3), epsilon="0.01", timeout=20)
    assert isinstance(asked, Holds)
    assert isinstance(direct, Holds)
    assert asked.statistics.nodes == direct.statistics.nodes < 100


# --- the commands


@pytest.mark.parametrize(
    ("claim", "first_line"),
    [
        (["--epsilon", "0.51"], "holds\n"),
        (["--epsilon", "1/2"], "unknown\n"),  # a tie: attained, but not exceeded
        (["--epsilon", "0.4"], "violated\n"),
    ],
)
def test_the_first_line_is_the_answer(
    files: Files, capsys: pytest.CaptureFixture[str], claim: list[str], first_line: str
) -> None:
    assert main(files.words("equiv", RELU, HALF, *claim, "--timeout", "2", "--solver", "none")) == 0
    told = capsys.readouterr()
    if first_line == "unknown\n":
        assert told.out in {"unknown\n", "holds\n"}
        assert told.out == "holds\n" or "secateur: " in told.err
    elif first_line == "holds\n":
        assert told.out == "holds\n"
    else:
        found = re.fullmatch(
            r"violated\nX_f float32 \[1\]\n(\S+)\nY_f float32 \[1\]\n(\S+)\nX_g float32 \[1\]\n(\S+)\nY_g float32 \[1\]\n(\S+)\n",
            told.out,
        )
        assert found
        x, y, same, other = map(F, found.groups())
        assert x == same
        assert y - other > F(4, 10)


def test_the_upper_bound_of_a_distance_is_certified(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    target = files.folder / "d.secateur"
    assert main(files.words("distance", RELU, HALF, "--certificate", str(target))) == 0
    upper = dict(line.split(" ", 1) for line in capsys.readouterr().out.splitlines())["upper"]
    outcome = secateur.check(target, strict=True)
    assert isinstance(outcome, secateur.Accepted)
    words = outcome.statement
    certified = F(words[words.index("<= ") + 3 : words.index(",", words.index("<= "))])
    assert F(1, 2) <= certified <= F(float(upper)) * F(4097, 4096)


def test_a_decision_with_a_margin_on_the_command_line(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(files.words("equiv", TWO, TWO_LATER, "--decision", "argmax", "--margin", "0.26")) == 0
    assert capsys.readouterr().out == "holds\n"


def test_a_distance_on_the_command_line(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(files.words("distance", RELU, HALF, "--tolerance", "0.001")) == 0
    lines = dict(line.split(" ", 1) for line in capsys.readouterr().out.splitlines())
    assert list(lines) == ["lower", "upper", "output", "point", "original", "other"]
    assert lines["lower"] == "0.5"
    assert 0.5 <= float(lines["upper"]) <= 0.5005
    assert (lines["output"], lines["point"], lines["original"], lines["other"]) == ("0", "1", "1.0", "0.5")


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("equiv", [], "one of the arguments --epsilon --decision is required"),
        ("equiv", ["--epsilon", "1", "--decision", "argmax"], "not allowed with argument"),
        ("equiv", ["--epsilon", "-1"], "epsilon -1 is negative"),
        ("equiv", ["--epsilon", "nan"], "'nan' is not a finite number"),
        ("equiv", ["--epsilon", "1", "--margin", "0"], "--margin: is only for --decision"),
        ("equiv", ["--decision", "argmax"], "with 1 output there is none"),
        ("equiv", ["--epsilon", "1", "--timeout", "0"], "time limit 0.0 is not a positive number"),
        ("equiv", ["--epsilon", "1", "--certificate", "{}/none/x.secateur"], "its folder does not exist"),
        ("equiv", ["--epsilon", "1", "--certificate", "{}/a.onnx"], "would overwrite"),
        ("distance", ["--tolerance", "-1"], "tolerance -1.0 is no share"),
        ("distance", ["--timeout", "nan"], "time limit nan"),
        ("equiv", ["--epsilon", "1", "--certificate", "."], "is a folder; name a file in it"),
        ("equiv", ["--epsilon", "1", "--certificate", "{}"], "is a folder; name a file in it"),
        ("distance", ["--certificate", ""], "is a folder; name a file in it"),
        ("distance", ["--certificate", "{}/none/x.secateur"], "its folder does not exist"),
    ],
)
def test_bad_input_is_one_line(
    files: Files, capsys: pytest.CaptureFixture[str], command: str, options: list[str], message: str
) -> None:
    words = files.words(command, RELU, HALF, *(option.format(files.folder) for option in options))
    before = {path: path.read_bytes() for path in files.folder.iterdir()}
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.out == ""
    (line,) = [line for line in told.err.splitlines() if not line.startswith("[")]
    assert message in line
    assert {path: path.read_bytes() for path in files.folder.iterdir()} == before


# --- data that is not part of the repository

ACAS = Path(os.environ.get("SECATEUR_DATA", "../shared/data")) / "vnncomp" / "acasxu"
PERTURBED = ACAS.parents[1] / "equivalence" / "acasxu_perturbed_2026"


@pytest.mark.skipif(not (ACAS.is_dir() and PERTURBED.is_dir()), reason="ACAS Xu networks or perturbed ones are absent")
def test_the_perturbed_network_of_vnn_comp_2026_as_its_query_is_written(engine: secateur.Engine) -> None:
    """Each output would have to be larger and smaller at once: unsat."""
    models = {
        "f": ACAS / "onnx" / "ACASXU_run2a_1_1_batch_2000.onnx",
        "g": next((PERTURBED / "onnx" / "perturbed").glob("*.onnx")),
    }
    verdict = engine.verify(models, PERTURBED / "vnnlib" / "instance_0.vnnlib", timeout=100)
    assert isinstance(verdict, Holds)


@pytest.mark.skipif(not (ACAS.is_dir() and PERTURBED.is_dir()), reason="ACAS Xu networks or perturbed ones are absent")
def test_the_perturbed_network_of_vnn_comp_2026_as_its_comment_means_it(engine: secateur.Engine) -> None:
    """No output differs by more than 0.05."""
    first, second = ACAS / "onnx" / "ACASXU_run2a_1_1_batch_2000.onnx", next((PERTURBED / "onnx" / "perturbed").glob("*.onnx"))
    verdict = engine.equivalent(first, second, PERTURBED / "vnnlib" / "instance_0.vnnlib", epsilon="0.05", timeout=100)
    assert isinstance(verdict, Holds)
