"""Files appear complete or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from secateur.errors import InputError
from secateur.files import remove_stale, temporary_name, write_atomically
from secateur.reduction.publish import require_writable
from secateur.reduction.slicing.ledger import Ledger
from secateur.vnncomp.results import ResultsFile
from tests.killing import DYING


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for target in (folder, tmp_path / "missing" / "a.bin"):
        with pytest.raises(InputError, match=r"cannot be written") as caught:
            write_atomically(target, b"data")
        assert str(caught.value).startswith(str(target))
    assert list(tmp_path.iterdir()) == [folder]
    assert list(folder.iterdir()) == []


HALF = f"""{DYING}
from secateur.files import write_atomically
die_at("os.rename", 1, sys.argv[1])
write_atomically(sys.argv[1], b"x")
"""


def left_by_the_dead(folder: Path, *names: str) -> None:
    """Half a file each, left by a process that killed itself at the rename."""
    for name in names:
        command = [sys.executable, "-c", HALF, str(folder / name)]
        died = subprocess.run(command, check=False, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
        assert died.returncode == -9
    assert len([p for p in folder.iterdir() if p.name.startswith(".")]) == len(names)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere nobody can be asked whether he is alive")
def test_what_the_dead_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    left_by_the_dead(tmp_path, "a.bin", "b.bin")
    (dead,) = tmp_path.glob(".a.bin.*")
    process = dead.name.split("-")[-1].split(".")[0]
    kept = {
        temporary_name("a.bin"),  # of a process that lives
        dead.name.replace(f"-{process}.", "-1."),  # the same, and not ours
        f".a.bin.00000000-{process}.tmp",  # of another machine
        f".a.bin.{process}.tmp",
        f"a.bin.{process}",
        ".hidden",
    }
    for name in kept:
        (tmp_path / name).touch()
    (tmp_path / f"{dead.name}.xyz").mkdir()
    (tmp_path / f"{dead.name}.xyz" / "file").touch()
    remove_stale(tmp_path, "a.bin")
    (other,) = tmp_path.glob(".b.bin.*")
    assert {p.name for p in tmp_path.iterdir()} == kept | {other.name}
    remove_stale(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == kept


@pytest.mark.skipif(os.name != "posix", reason="elsewhere nobody can be asked whether he is alive")
def test_runs_begin_by_removing_it(tmp_path: Path) -> None:
    left_by_the_dead(tmp_path, "out", "results.csv")
    require_writable(tmp_path / "out")
    ResultsFile(tmp_path / "results.csv", resume=True, note=print).__exit__(None, None, None)
    assert [p.name for p in tmp_path.iterdir()] == ["results.csv"]
    (tmp_path / "run").mkdir()
    left_by_the_dead(tmp_path / "run", "x.slice")
    Ledger.opened(tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []
