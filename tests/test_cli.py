"""The command line: what it prints, how it ends, one exact line for every kind of bad input, and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from secateur.checker import Accepted, check
from secateur.cli import main
from secateur.network import Interface, Network, to_model_bytes
from tests.onnx_models import model_bytes, node
from tests.reduction.runs import BUNDLED
from tests.reduction.support import chain

ROOT = Path(__file__).resolve().parent.parent
IRIS, BOX = BUNDLED / "iris.onnx", BUNDLED / "iris.domain.json"
SUPPORTED = "; supported are "


def refused_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command with bad input leaves behind, without its prefix."""
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    line = printed.err.splitlines()[-1]
    # Lines of progress may come before; the fault itself takes one line and no traceback.
    assert all(earlier.startswith("[") for earlier in printed.err.splitlines()[:-1])
    assert line.startswith("secateur: error: ")
    return line.removeprefix("secateur: error: ")


def prune_words(model: object = IRIS, *, out: Path, domain: object = BOX, more: tuple[str, ...] = ()) -> list[str]:
    return ["prune", str(model), "--domain", str(domain), "--out", str(out), "--solver", "none", *more]


# --- what goes well


def test_a_process_ends_with_its_code_after_everybody_cleaned_up_and_all_was_said(tmp_path: Path) -> None:
    for words, code, said in ((["check", str(tmp_path)], 2, ""), (["supports", "--onnx-operators"], 0, "Relu")):
        program = (
            f"import sys, threading, time; sys.argv = ['secateur', *{words!r}]\n"
            "import secateur.cli as cli\n"
            "before = cli.main\n"
            "def main():\n"
            "    import atexit\n"
            "    atexit.register(print, 'cleaned up')\n"
            "    threading.Thread(target=lambda: (time.sleep(0.2), print('joined'))).start()\n"
            "    return before()\n"
            "cli.main = main\n"
            "cli.run()\n"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert said in done.stdout
        lines = done.stdout.splitlines()
        assert lines[-1] == "cleaned up"
        assert "joined" in lines


def test_a_fault_of_the_program_itself_still_shows() -> None:
    program = "import secateur.cli as cli\ncli.main = lambda: 1 / 0\ncli.run()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_prune_then_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "pruned"
    assert main(["prune", str(IRIS), "--domain", str(BOX), "--out", str(out), "--jobs", "1"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == f"iris.onnx -> {out}/reduced.onnx"
    assert lines[1].split() == ["neurons", "32", "->", "24"]
    assert lines[4].split(maxsplit=1) == ["status", "8 inactive, 0 active, 24 both, 0 unknown"]
    assert lines[5].split() == ["removed", "8", "phase"]
    assert lines[6].split(maxsplit=1) == ["claim", "N and N' agree exactly on D"]
    assert lines[8].split()[:4] == ["confirmed", "8", "of", "8"]
    assert lines[-1].split(maxsplit=2)[-1] == f"secateur check {out}"
    assert 6 <= len(lines) <= 11
    assert "prove phases" in printed.err
    assert main(["check", str(out), "--strict"]) == 0
    assert capsys.readouterr().out.startswith("Verified: for all x in D, max |N(x) - N'(x)| = 0")


def test_check_refuses_with_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "pruned"
    assert main(prune_words(out=out)) == 0
    (out / "domain.json").write_text((out / "domain.json").read_text().replace("8.081", "8.082"))
    capsys.readouterr()
    assert main(["check", str(out)]) == 1
    assert capsys.readouterr().out.startswith("Refused")


def test_box_and_data_give_domains(tmp_path: Path) -> None:
    base = ["prune", str(IRIS), "--solver", "none", "--out", str(tmp_path / "out")]
    assert main([*base, "--box", "0,8"]) == 0
    assert json.loads((tmp_path / "out" / "domain.json").read_text()) == {
        "lower": ["0"] * 4,
        "upper": ["8"] * 4,
    }
    assert main([*base, "--data", str(BUNDLED / "iris.data.npy"), "--margin", "0.5"]) == 0
    data = np.load(BUNDLED / "iris.data.npy").astype(float)
    lower = json.loads((tmp_path / "out" / "domain.json").read_text())["lower"]
    assert list(map(float, lower)) == pytest.approx((data.min(axis=0) - 0.5).tolist())
    assert isinstance(check(tmp_path / "out"), Accepted)


def test_tolerance_is_read_exactly(tmp_path: Path) -> None:
    assert main(prune_words(out=tmp_path / "out", more=("--tolerance", "1e-4"))) == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["tolerance"]["requested"] == "0.0001"


def test_warmup(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["warmup"]) == 0
    assert capsys.readouterr().out == "kernels are compiled\n"


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    import secateur

    for words, start in (
        (["--version"], f"secateur {secateur.__version__}\n"),
        (["prune", "--help"], "usage: secateur prune"),
    ):
        with pytest.raises(SystemExit) as left:
            main(words)
        assert left.value.code == 0
        assert capsys.readouterr().out.startswith(start)


# --- bad models


def test_missing_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused_line(prune_words("nowhere.onnx", out=tmp_path / "out"), capsys)
    assert line == "nowhere.onnx: cannot be read: No such file or directory"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (IRIS.read_bytes()[:1500], "is no ONNX model or is damaged; fetch or export it again"),
        (b"", "holds a graph without nodes; check that it is an ONNX model"),
        (b"\x93NUMPY", "is no ONNX model or is damaged; fetch or export it again"),
    ],
)
def test_truncated_model(data: bytes, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(data)
    assert refused_line(prune_words(model, out=tmp_path / "out"), capsys) == f"{model}: {problem}"
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def small_model(folder: Path, op: str = "Relu", weight: float = 1.0, input_type: int = TensorProto.FLOAT) -> Path:
    nodes = [node("Gemm", ["x", "w"], "z"), node(op, ["z"], "y")]
    path = folder / "small.onnx"
    stored = {"w": np.array([[weight]], dtype=np.float32)}
    path.write_bytes(model_bytes(nodes, stored, inputs={"x": (1, 1)}, outputs={"y": (1, 1)}, input_type=input_type))
    return path


def test_unsupported_operator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = small_model(tmp_path, op="Erf")
    line = refused_line(["prune", str(model), "--box", "0,1", "--out", str(tmp_path / "out")], capsys)
    stated, known = line.split(SUPPORTED)
    assert stated == f"{model}: node 'the_Erf_y' (Erf, opset 13): operator is not supported"
    assert "Relu" in known.split(", ")
    assert not (tmp_path / "out").exists()


def test_input_that_is_no_float(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = small_model(tmp_path, input_type=TensorProto.INT64)
    line = refused_line(["prune", str(model), "--box", "0,1", "--out", str(tmp_path / "out")], capsys)
    assert line == f"{model}: input 'x': has elements of ONNX type 7; use a float type"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("weight", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers(weight: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = small_model(tmp_path, weight=weight)
    line = refused_line(["prune", str(model), "--box", "0,1", "--out", str(tmp_path / "out")], capsys)
    assert line == f"{model}: initialiser 'w': it holds NaN or infinite values; repair or retrain the network"
    assert not (tmp_path / "out").exists()


def test_weights_in_another_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "outside.onnx"
    onnx.save(onnx.load(IRIS), model, save_as_external_data=True, location="weights.bin", size_threshold=0)
    line = refused_line(prune_words(model, out=tmp_path / "out"), capsys)
    assert line == (
        f"{model}: keeps weights in another file, which a certificate could not cover; "
        "store everything in one file: onnx.save(onnx.load(old), new)"
    )


# --- bad domains


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            '{"lower": [0, 0, 2.5, 0], "upper": [1, 1, 2.4, 1]}',
            ": coordinate 2: lower bound 2.5 is above upper bound 2.4",
        ),
        (
            '{"lower": [0, 0, 0, 0], "upper": [1, 1, Infinity, 1]}',
            ", line 1: upper[2]: 'Infinity' is not a finite number",
        ),
        ('{"lower": [], "upper": []}', ": the domain has no coordinates"),
        ('{"lower": [0, 0, 0, 0], "upper": [1, 1, 1]}', ": the domain has 4 lower but 3 upper bounds"),
        ("", ': is neither a JSON, an npz nor a VNN-LIB domain; write {"lower": [...], "upper": [...]}'),
    ],
)
def test_bad_boxes(text: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    domain = tmp_path / "domain.json"
    domain.write_text(text)
    assert refused_line(prune_words(out=tmp_path / "out", domain=domain), capsys) == f"{domain}{problem}"
    assert [p.name for p in tmp_path.iterdir()] == ["domain.json"]


def test_unbounded_vnnlib_domain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    domain = tmp_path / "query.vnnlib"
    domain.write_text("(declare-const X_0 Real)\n(declare-const Y_0 Real)\n(assert (<= X_0 1))\n(assert (>= Y_0 0))\n")
    line = refused_line(prune_words(out=tmp_path / "out", domain=domain), capsys)
    assert line == f"{domain}: input X_0 (coordinate 0) has no lower bound; assert (>= X_0 ...)"
    assert not (tmp_path / "out").exists()


def test_domain_of_another_dimension(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused_line(prune_words(out=tmp_path / "out", domain=BUNDLED / "wine.domain.json"), capsys)
    expected = f"{IRIS}: the domain has 6 coordinates but the network has 4 inputs; give a domain of dimension 4"
    assert line == expected
    assert list(tmp_path.iterdir()) == []


# --- bad options


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ("--tolerance", "-1e-4"),
            "argument --tolerance: expected one argument; where its value begins with a minus sign write --tolerance=VALUE, "
            "and see secateur prune --help",
        ),
        (("--tolerance=-1e-4",), "--tolerance: tolerance -1/10000 is negative"),
        (("--tolerance", "nan"), "--tolerance: 'nan' is not a finite number"),
        (("--timeout", "0"), "--timeout: time limit 0.0 is not a positive number of seconds"),
        (("--timeout", "nan"), "--timeout: time limit nan is not a positive number of seconds"),
        (("--timeout", "soon"), "argument --timeout: 'soon' is not a number; see secateur prune --help"),
        (("--jobs", "0"), "--jobs: 0 threads cannot work; give at least 1"),
        (("--jobs", "two"), "argument --jobs: 'two' is not a whole number; see secateur prune --help"),
        (("--seed=-1",), "argument --seed: -1 is negative; see secateur prune --help"),
        (("--margin", "1"), "--margin: is only for --data"),
        (("--box", "0,1"), "argument --box: not allowed with argument --domain; see secateur prune --help"),
        (("--tol", "0"), "unrecognized arguments: --tol 0; see secateur --help"),
    ],
)
def test_bad_options(more: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused_line(prune_words(out=tmp_path / "out", more=more), capsys) == message
    assert list(tmp_path.iterdir()) == []


def test_unknown_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused_line(["shear"], capsys).startswith("argument COMMAND: invalid choice: 'shear'")
    assert refused_line([], capsys) == "the following arguments are required: COMMAND; see secateur --help"


@pytest.mark.parametrize("solver", ["z3", "cvc5"])
def test_solver_that_is_not_installed(solver: str, tmp_path: Path) -> None:
    package = {"z3": "z3-solver", "cvc5": "cvc5"}[solver]
    words = [*prune_words(out=tmp_path / "out")[:-2], "--solver", solver]
    program = f"import sys; sys.modules[{solver!r}] = None; from secateur.cli import main; sys.exit(main({words!r}))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 2
    expected = f"secateur: error: the SMT solver {solver} is not installed; run: pip install {package}"
    assert done.stderr.splitlines()[-1] == expected
    assert list(tmp_path.iterdir()) == []


# --- bad output folders


def test_output_folder_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    for out, problem in (
        (tmp_path / "file", "is a file, not a folder"),
        (tmp_path / "file" / "below", f"cannot be made: {tmp_path / 'file'} is a file, not a folder"),
    ):
        line = refused_line(prune_words(out=out), capsys)
        assert line == f"output folder {out}: {problem}; choose another --out"
    assert (tmp_path / "file").read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_original_in_the_output_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "reduced.onnx"
    model.write_bytes(IRIS.read_bytes())
    line = refused_line(prune_words(model, out=tmp_path), capsys)
    assert line == f"{model}: the output folder {tmp_path} would overwrite the network itself; choose another --out"
    assert model.read_bytes() == IRIS.read_bytes()


# --- Ctrl-C


def environment() -> dict[str, str]:
    path = os.pathsep.join(str(ROOT / name) for name in ("engine", "encodings"))
    return {**os.environ, "PYTHONPATH": path}


def long_job(folder: Path) -> Path:
    """Six layers of random weights: their last phases take far longer than any test."""
    random = np.random.default_rng(11)
    sizes = [5, *[40] * 6, 2]
    layers = []
    for n, m in pairwise(sizes):
        weights = np.float32(random.normal(size=(m, n)) / np.sqrt(n / 2)).astype(float)
        layers.append((weights.tolist(), np.float32(random.normal(size=m) * 0.1 - 0.3).astype(float).tolist()))
    network = chain(*layers)
    ports = Interface(input_shape=(None, 5), output_shape=(None, 2))
    path = folder / "long.onnx"
    path.write_bytes(to_model_bytes(Network(5, network.layers, network.output, ports)))
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process there")
def test_ctrl_c_saves_what_was_decided(tmp_path: Path) -> None:
    model, out = long_job(tmp_path), tmp_path / "out"
    words = ["prune", str(model), "--box=-1,1", "--out", str(out), "--timeout", "3000", "--jobs", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "secateur", *words],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "prove phases" in line:
                break
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        printed, complaints = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == 130, complaints
    assert "Traceback" not in complaints
    assert "stopped     by Ctrl-C" in printed
    summary = json.loads((out / "summary.json").read_text())
    assert summary["interrupted"]
    assert summary["status"]["unknown"] > 0
    reasons = {n["reason"] for layer in summary["neuron_status"] for n in layer if n["status"] == "unknown"}
    assert reasons == {"interrupted"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["long.onnx", "out"]
    assert isinstance(verdict := check(out), Accepted), verdict


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process there")
def test_ctrl_c_before_anything_is_decided_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("secateur.api.read_model", interrupted)
    assert main(prune_words(out=tmp_path / "out")) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "secateur: interrupted; nothing was written"
    assert list(tmp_path.iterdir()) == []
