"""A full disk: one line that says what and where, exit code 2, nothing half-written, and the next run goes on.

The limit on the size of files stands in for the disk: as there, a write takes a part, and then fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import secateur
from tests.reduction.runs import BUNDLED

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")

IRIS, BOX = str(BUNDLED / "iris.onnx"), str(BUNDLED / "iris.domain.json")
SLICE = ["slice", IRIS, "--domain", BOX, "--slices", "2", "--jobs", "1", "--timeout", "60"]
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from secateur.cli import main
sys.exit(main(sys.argv[2:]))
"""


def run(words: list[str], *, limit: int = 1 << 40, full: bool = False) -> subprocess.CompletedProcess[str]:
    """The command with files of at most `limit` bytes; `full`: with a standard output that takes nothing."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    output = os.open("/dev/full", os.O_WRONLY) if full else subprocess.PIPE
    try:
        command = [sys.executable, "-c", LIMITED, str(limit), *words]
        return subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    finally:
        if full:
            os.close(output)


def refused_line(done: subprocess.CompletedProcess[str]) -> str:
    """The last line, without its prefix; what comes before it is progress and statistics."""
    *earlier, line = done.stderr.splitlines()
    assert done.returncode == 2, done.stderr
    assert not any("Traceback" in other or "rror" in other for other in earlier), done.stderr
    assert line.startswith("secateur: error: ")
    return line.removeprefix("secateur: error: ")


@pytest.mark.parametrize(
    "words",
    [
        ["--version"],
        ["supports", "--onnx-operators"],
        ["prune", IRIS, "--domain", BOX, "--out", "{}/out", "--solver", "none", "--jobs", "1"],
        ["equiv", IRIS, IRIS, "--domain", BOX, "--epsilon", "0", "--jobs", "1"],
        ["equiv", IRIS, IRIS, "--domain", BOX, "--epsilon", "0", "--jobs", "1", "--timeout", "1e-9"],
    ],
)
def test_an_output_that_takes_nothing(tmp_path: Path, words: list[str]) -> None:
    line = refused_line(run([word.format(tmp_path) for word in words], full=True))
    assert line == "standard output: No space left on device"
    if words[0] == "prune":  # what was written before is complete
        assert isinstance(secateur.check(tmp_path / "out", strict=True), secateur.Accepted)


def test_prune_where_nothing_fits(tmp_path: Path) -> None:
    words = ["prune", IRIS, "--domain", BOX, "--out", str(tmp_path / "out"), "--solver", "none", "--jobs", "1"]
    line = refused_line(run(words, limit=1000))  # the checker's own files do not fit
    assert line.startswith("temporary folder /")
    assert line.endswith(": cannot be written: File too large; free space there, or let TMPDIR name another folder")
    line = refused_line(run(words, limit=6000))  # the report does not fit
    assert line == f"output folder {tmp_path / 'out'}: cannot be written: File too large; choose another --out"
    assert list(tmp_path.iterdir()) == []


def test_certificates_that_do_not_fit(tmp_path: Path) -> None:
    words = ["equiv", IRIS, IRIS, "--domain", BOX, "--epsilon", "0", "--jobs", "1", "--certificate", str(tmp_path / "x.cert")]
    assert "cannot be written: File too large" in refused_line(run(words, limit=60))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("limit", "place"), [(1000, "model.onnx: "), (2300, ".slice: "), (4000, "output folder")])
def test_slices_that_do_not_fit_are_made_by_the_next_run(tmp_path: Path, limit: int, place: str) -> None:
    words = [*SLICE, "--out", str(tmp_path / "out")]
    line = refused_line(run(words, limit=limit))
    assert "File too large" in line
    assert place in line
    assert not (tmp_path / "out").exists()
    done = run(words)
    assert done.returncode == 0, done.stderr
    assert isinstance(secateur.check(tmp_path / "out", strict=True), secateur.Accepted)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
