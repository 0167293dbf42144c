"""`secateur verify` and `secateur supports`: standard output to the letter, one line for bad input, and the time limit kept."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from secateur.bounds import warmup
from secateur.cli import main
from secateur.network import Interface, Network, to_model_bytes
from secateur.network.operators import OPERATORS
from secateur.specification import read_query
from tests.bounds.support import random_network
from tests.onnx_models import model_bytes, node
from tests.search.queries import layered
from tests.vnncomp.tiny import SOURCES

F = Fraction
RELU = layered(([[1.0]], [0.0]), ([[1.0]], [0.0]))
NEGATED = layered(([[1.0]], [0.0]), ([[-1.0]], [0.0]))
DECLARED = "(declare-const X_0 Real)\n(declare-const Y_0 Real)\n"
TWO = (
    "(vnnlib-version <2.0>)\n"
    "(declare-network f (declare-input X float32 [1,1]) (declare-output Y float32 [1,1]))\n"
    "(declare-network g (declare-input U float32 [1,1]) (declare-output V float32 [1,1]))\n"
    "(assert (and (>= X[0,0] -1.0) (<= X[0,0] 1.0) (== X[0,0] U[0,0]) (>= U[0,0] -1.0) (<= U[0,0] 1.0)))\n"
    "(assert (>= Y[0,0] (+ V[0,0] 0.5)))\n"
)


@pytest.fixture(scope="module", autouse=True)
def kernels() -> None:
    warmup()


def query_text(condition: str, low: str = "-1", high: str = "1", inputs: int = 1) -> str:
    names = [f"X_{i}" for i in range(inputs)]
    lines = [f"(declare-const {name} Real)" for name in (*names, "Y_0")]
    lines += [f"(assert (>= {name} {low}))\n(assert (<= {name} {high}))" for name in names]
    return "\n".join([*lines, f"(assert {condition})\n"])


class Files:
    """A folder with a network, and queries made on demand."""

    def __init__(self, folder: Path, network: Network = RELU) -> None:
        self.folder, self.model = folder, folder / "net.onnx"
        self.model.write_bytes(to_model_bytes(network))

    def query(self, text: str) -> Path:
        path = self.folder / "query.vnnlib"
        path.write_text(text)
        return path

    def words(self, condition: str, *more: str) -> list[str]:
        return ["verify", str(self.query(query_text(condition))), "--network", str(self.model), "--jobs", "1", *more]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def run(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    assert main(list(words)) == 0
    printed = capsys.readouterr()
    return printed.out, printed.err


def refused_line(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that bad input leaves on standard error (lines of progress aside), and nothing on standard output."""
    assert main(list(words)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    *earlier, line = printed.err.splitlines()
    assert all(e.startswith("[") for e in earlier if "sub-domain" not in e)
    assert line.startswith("secateur: error: ")
    return line.removeprefix("secateur: error: ")


# --- verdicts


def test_unsat(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(files.words("(<= Y_0 -0.5)"), capsys)
    assert out == "unsat\n"
    assert "\n1 sub-domain, " in err


def test_sat_and_an_assignment_that_satisfies_the_query(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    words = files.words("(and (>= Y_0 0.3) (<= Y_0 0.4) (>= Y_0 X_0))")
    out, _ = run(words, capsys)
    verdict, _, assignment = out.partition("\n")
    assert verdict == "sat"
    pairs = re.fullmatch(r"\(\(X_0 (-?\d+\.\d+)\)\n \(Y_0 (-?\d+\.\d+)\)\)\n", assignment)
    assert pairs is not None
    x, y = F(pairs[1]), F(pairs[2])
    assert read_query(words[1]).satisfied_by([x], [y])
    assert np.float32(float(x)) == np.float32(float(y))


def test_unknown_with_its_reason_on_standard_error(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    # The query holds everywhere, but its outputs are beyond float32: no point can be replayed.
    overflowing = layered(([[2.0**100]], [0.0]), ([[2.0**100]], [0.0]))
    files = Files(files.folder, overflowing)
    words = ["verify", str(files.query(query_text("(<= X_0 2)", "1", "2"))), "--network", str(files.model), "--timeout", "20"]
    out, err = run(words, capsys)
    assert out == "unknown\n"
    assert err.splitlines()[-1].startswith("secateur: a disjunct asks for nothing but its input box")


def test_an_empty_input_region_is_unsat_with_a_warning(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(files.words("(>= X_0 2)"), capsys)
    assert out == "unsat\n"
    assert "its input region is empty" in err


def test_the_same_seed_gives_the_same_assignment(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    words = files.words("(and (>= Y_0 0.3) (<= Y_0 0.4))", "--seed", "3", "--solver", "none")
    assert run(words, capsys)[0] == run(words, capsys)[0]


def test_two_networks_by_name_and_a_path_with_an_equals_sign(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    f, g, query = tmp_path / "a=b.onnx", tmp_path / "g.onnx", tmp_path / "two.vnnlib"
    f.write_bytes(to_model_bytes(RELU))
    g.write_bytes(to_model_bytes(NEGATED))
    query.write_text(TWO)
    out, _ = run(["verify", str(query), "--network", f"f={f}", "--network", f"g={g}"], capsys)
    lines = out.splitlines()
    assert [lines[i] for i in (0, 1, 3, 5, 7)] == [
        "sat", "X float32 [1,1]", "Y float32 [1,1]", "U float32 [1,1]", "V float32 [1,1]",
    ]  # fmt: skip
    x, y, u, v = (F(lines[i]) for i in (2, 4, 6, 8))
    assert x == u
    assert y >= v + F(1, 2)
    assert read_query(query).satisfied_by([x, u], [y, v])
    # With the roles exchanged there is no such point. The equals sign in the file's name does not make "a" a network.
    assert run(["verify", str(query), "--network", f"f={g}", "--network", f"g={f}"], capsys)[0] == "unsat\n"
    query.write_text(query_text("(<= Y_0 -0.5)"))
    assert run(["verify", str(query), "--network", str(f)], capsys)[0] == "unsat\n"
    assert run(["verify", str(query), "--network", f"N={f}"], capsys)[0] == "unsat\n"


def test_assignments_are_serialised_as_tensors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    f, g, query, folder = (tmp_path / name for name in ("f.onnx", "g.onnx", "two.vnnlib", "new/assignments"))
    f.write_bytes(to_model_bytes(RELU))
    g.write_bytes(to_model_bytes(NEGATED))
    query.write_text(TWO)
    words = ["verify", str(query), "--network", f"f={f}", "--network", f"g={g}", "--serialise-assignments", str(folder)]
    out, _ = run(words, capsys)
    assert sorted(p.name for p in folder.iterdir()) == ["U.pb", "V.pb", "X.pb", "Y.pb"]
    printed = dict(zip(["X", "Y", "U", "V"], out.splitlines()[2::2], strict=True))
    for name, text in printed.items():
        tensor = TensorProto.FromString((folder / f"{name}.pb").read_bytes())
        assert tensor.name == name
        array = numpy_helper.to_array(onnx.load_tensor(folder / f"{name}.pb"))
        assert (array.shape, array.dtype) == ((1, 1), np.float32)
        assert array[0, 0] == np.float32(text)


def test_no_assignment_is_written_for_unsat(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(files.words("(<= Y_0 -0.5)", "--serialise-assignments", str(files.folder / "out")), capsys)
    assert out == "unsat\n"
    assert not (files.folder / "out").exists()


# --- the time limit


def acas_sized(folder: Path) -> list[str]:
    """A query that takes far longer than any test, about a network as large as those of ACAS Xu."""
    network = random_network([5, 50, 50, 50, 50, 50, 50, 1], seed=4)
    files = Files(folder, replace(network, interface=Interface(input_shape=(1, 5), output_shape=(1, 1))))
    lowest = network.forward(np.random.default_rng(0).uniform(-1, 1, (50_000, 5))).min()
    query = files.query(query_text(f"(<= Y_0 {lowest - 0.01:.6f})", inputs=5))
    return ["verify", str(query), "--network", str(files.model)]


def started(words: Sequence[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "secateur", *words],
        env={**os.environ, "PYTHONPATH": SOURCES, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_time_limit_that_is_over_at_once(tmp_path: Path) -> None:
    process = started([*acas_sized(tmp_path), "--timeout", "0.001"])
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "timed-out\n"), err
    assert "Traceback" not in err


def test_the_limit_is_kept_while_something_hangs(tmp_path: Path) -> None:
    """Here the kernels are compiled first, which takes far longer than the limit and asks no clock."""
    process = started([*acas_sized(tmp_path), "--timeout", "2"], NUMBA_CACHE_DIR=str(tmp_path / "empty"))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "timed-out\n"), err
    assert "Traceback" not in err


def test_a_search_that_ends_at_the_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run([*acas_sized(tmp_path), "--timeout", "0.5"], capsys)
    assert out == "timed-out\n"
    assert "secateur: " in err


def test_a_limit_beyond_every_clock(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files.words("(<= Y_0 -0.5)", "--timeout", "1e300"), capsys)[0] == "unsat\n"


def test_nothing_ends_the_process_after_bad_input(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    """The watchdog must go with the command that it watches, however that ends."""
    files.model.unlink()
    refused_line(files.words("(<= Y_0 0)", "--timeout", "0.05"), capsys)
    time.sleep(1.0)
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process there")
def test_ctrl_c_ends_with_one_line(tmp_path: Path) -> None:
    process = started([*acas_sized(tmp_path), "--timeout", "3000", "--jobs", "1"])
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "search" in line:
                break
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "secateur: interrupted; nothing was written"
    assert "Traceback" not in err


# --- bad input


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (query_text("(<= Z_0 0)"), ", line 5: unknown variable 'Z_0'; declare it before its use"),
        (query_text("(<= Y_3 0)"), ", line 5: unknown variable 'Y_3'; declare it before its use"),
        (DECLARED, ": asserts nothing; add (assert ...)"),
        ("", ": declares no input; write (declare-const X_0 Real)"),
        (DECLARED + "(assert (<= Y_0 0))", ": input X_0 has no lower bound; bound every input on both sides"),
        (query_text("(<= Y_0 1e999)"), ": a condition has a number beyond float64; rescale the query"),
    ],
)
def test_bad_queries(text: str, problem: str, files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    query = files.query(text)
    assert refused_line(["verify", str(query), "--network", str(files.model)], capsys) == f"{query}{problem}"


def test_a_query_that_is_not_linear(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    query = files.query(query_text("(<= (* X_0 Y_0) 0)"))
    line = refused_line(["verify", str(query), "--network", str(files.model)], capsys)
    assert line.startswith(f"{query}, line 5: ")
    assert "X_0" in line
    assert "Y_0" in line


def test_networks_of_another_size(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    query = files.query(query_text("(<= Y_0 0)", inputs=3))
    assert refused_line(["verify", str(query), "--network", str(files.model)], capsys) == (
        f"{query}, {files.model}: the query declares 3 inputs for network N, the file has 1; "
        "use the network that the query was written for"
    )


@pytest.mark.parametrize("which", ["model", "query"])
def test_missing_files(which: str, files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    words = files.words("(<= Y_0 0)")
    missing = files.model if which == "model" else Path(words[1])
    missing.unlink()
    assert refused_line(words, capsys) == f"{missing}: cannot be read: No such file or directory"


def test_damaged_files(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    words = files.words("(<= Y_0 0)")
    files.model.write_bytes(files.model.read_bytes()[:40])
    assert refused_line(words, capsys).startswith(f"{files.model}: is no ONNX model or is damaged")
    files.model.write_bytes(b"\x1f\x8b\x08")
    assert refused_line(words, capsys).startswith(f"{files.model}: is no complete gzip file")
    Path(words[1]).write_bytes(b"\xff\xfe\x00")
    assert refused_line(words, capsys) == f"{words[1]}: is no UTF-8 text"


def test_an_operator_that_is_not_supported(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [node("Gemm", ["x", "w"], "z"), node("Sigmoid", ["z"], "y")]
    stored = {"w": np.ones((1, 1), dtype=np.float32)}
    files.model.write_bytes(model_bytes(nodes, stored, inputs={"x": (1, 1)}, outputs={"y": (1, 1)}))
    line = refused_line(files.words("(<= Y_0 0)"), capsys)
    assert line.startswith(f"{files.model}: node 'the_Sigmoid_y' (Sigmoid, opset 13): operator is not supported")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--timeout", "0"], "--timeout: time limit 0.0 is not a positive number of seconds"),
        (["--timeout=-3"], "--timeout: time limit -3.0 is not a positive number of seconds"),
        (["--timeout", "nan"], "--timeout: time limit nan is not a positive number of seconds"),
        (["--timeout", "inf"], "--timeout: time limit inf is not a positive number of seconds"),
        (["--timeout", "soon"], "argument --timeout: 'soon' is not a number; see secateur verify --help"),
        (["--jobs", "0"], "--jobs: 0 threads cannot work; give at least 1"),
        (["--seed=-1"], "argument --seed: -1 is negative; see secateur verify --help"),
        (["--solver", "yices"], "argument --solver: invalid choice: 'yices' "),
        (["--network", "other.onnx"], "--network: two files but no names"),
        (["--network", "g=other.onnx"], "--network: one of the networks has no name; write --network NAME=FILE for each"),
        (["--time", "3"], "unrecognized arguments: --time 3; see secateur --help"),
    ],
)
def test_bad_options(more: list[str], message: str, files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(p.name for p in files.folder.iterdir())
    assert refused_line([*files.words("(<= Y_0 0)")[:4], *more], capsys).startswith(message)
    assert sorted(p.name for p in files.folder.iterdir() if p.name != "query.vnnlib") == before


def test_networks_by_wrong_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, query = tmp_path / "net.onnx", tmp_path / "two.vnnlib"
    model.write_bytes(to_model_bytes(RELU))
    query.write_text(TWO)
    for names, line in (
        (["f", "f"], "--network: network 'f' is given twice"),
        (["f"], f"{query}: no file is given for network 'g'; give one for each network"),
        (["f", "h"], f"{query}: there is no network 'h' in the query; it declares f, g"),
    ):
        words = [word for name in names for word in ("--network", f"{name}={model}")]
        assert refused_line(["verify", str(query), *words], capsys) == line
    line = refused_line(["verify", str(query), "--network", str(model)], capsys)
    assert line == f"{query}: the query declares 2 networks: f, g; give a file for each, by name"


def test_words_that_are_missing(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert "required: --network" in refused_line(["verify", "query.vnnlib"], capsys)
    assert "required: QUERY" in refused_line(["verify", "--network", str(files.model)], capsys)
    for name in ("N=", ""):
        long_name = name + "x" * 5000
        assert "File name too long" in refused_line([*files.words("(<= Y_0 0)")[:2], "--network", long_name], capsys)


def test_a_folder_for_assignments_that_cannot_be_made(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    (files.folder / "file").write_text("mine")
    for folder in (files.folder / "file", files.folder / "file" / "below"):
        line = refused_line(files.words("(>= Y_0 0.5)", "--serialise-assignments", str(folder)), capsys)
        assert line.startswith(f"{folder}: cannot be made: ")
    assert (files.folder / "file").read_text() == "mine"


@pytest.mark.parametrize("solver", ["z3", "cvc5"])
def test_a_solver_that_is_not_installed(solver: str, files: Files) -> None:
    words = files.words("(<= Y_0 0)", "--solver", solver)
    program = f"import sys; sys.modules[{solver!r}] = None; from secateur.cli import main; sys.exit(main({words!r}))"
    environment = {**os.environ, "PYTHONPATH": SOURCES}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    package = {"z3": "z3-solver", "cvc5": "cvc5"}[solver]
    line = f"secateur: error: the SMT solver {solver} is not installed; run: pip install {package}"
    assert done.stderr.splitlines()[-1] == line


# --- what is supported


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("onnx-element-types", ["real", "float32", "float64", "float16"]),
        ("vnnlib-versions", ["1.0", "2.0"]),
        ("hidden-node-theories", ["NH", "H"]),
        ("multiple-input-output-theories", ["SIO", "MIO"]),
        ("multiple-network-theories", ["SNET", "MENET", "MINET", "MNET"]),
        ("multiple-node-comparison-theories", ["SNC", "MNC"]),
        ("arithmetic-complexity-theories", ["BND", "OUTC", "LIN"]),
        ("optimised-disjunctive-reasoning", ["true"]),
        ("serialise-assignments", ["true"]),
        ("onnx-operators", sorted(OPERATORS)),
    ],
)
def test_supports(flag: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["supports", f"--{flag}"], capsys) == ("\n".join(words) + "\n", "")


def test_supported_opsets_are_read(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(["supports", "--onnx-opset-versions"], capsys)
    first, last = map(int, out.split())
    assert first < last
    for opset, is_read in ((first, True), (last, True), (last + 1, False)):
        nodes = [node("MatMul", ["x", "w"], "z"), node("Relu", ["z"], "y")]
        stored = {"w": np.ones((1, 1), dtype=np.float32)}
        files.model.write_bytes(model_bytes(nodes, stored, inputs={"x": (1, 1)}, outputs={"y": (1, 1)}, opset=opset))
        words = files.words("(<= Y_0 -1)")
        if is_read:
            assert run(words, capsys)[0] == "unsat\n"
        else:
            assert str(opset) in refused_line(words, capsys)


@pytest.mark.parametrize(
    "words", [["supports"], ["supports", "--everything"], ["supports", "--vnnlib-versions", "--onnx-operators"]]
)
def test_supports_one_thing_at_a_time(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert refused_line(words, capsys)


def test_name_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    import secateur

    for words, line in ((["--name"], "Secateur\n"), (["--version"], f"secateur {secateur.__version__}\n")):
        with pytest.raises(SystemExit) as left:
            main(words)
        assert left.value.code == 0
        assert capsys.readouterr().out == line


# --- ACAS Xu


@pytest.mark.parametrize(("network", "prop"), [("1_7", 3), ("1_9", 4), ("1_1", 3), ("2_1", 4), ("3_3", 9)])
def test_acas_xu(network: str, prop: int, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = data_dir / "vnncomp" / "acasxu"
    model, query = f"onnx/ACASXU_run2a_{network}_batch_2000.onnx", f"vnnlib/prop_{prop}.vnnlib"
    with (folder / "ground_truth.csv").open(newline="") as stream:
        (truth,) = [row["consensus"] for row in csv.DictReader(stream) if (row["onnx"], row["vnnlib"]) == (model, query)]
    out, _ = run(["verify", str(folder / query), "--network", str(folder / model), "--timeout", "60"], capsys)
    lines = out.split("\n")
    assert lines[0] == truth
    if truth == "sat":
        values = [F(v) for v in re.findall(r"\([XY]_\d (-?\d+\.\d+)\)", out)]
        assert len(values) == 10
        assert read_query(folder / query).satisfied_by(values[:5], values[5:])
    else:
        assert lines == ["unsat", ""]
