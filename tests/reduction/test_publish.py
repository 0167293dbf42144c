"""A folder of results appears whole or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from secateur.errors import InputError
from secateur.reduction.publish import publish, require_writable
from tests.killing import DYING

FILES = {"a.txt": b"one", "b.bin": bytes(range(256))}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_new_folder_with_missing_parents(tmp_path: Path) -> None:
    folder = tmp_path / "x" / "y" / "out"
    publish(folder, FILES, "b.bin")
    assert contents(folder) == FILES
    assert [p.name for p in folder.parent.iterdir()] == ["out"]


@pytest.mark.skipif(sys.platform == "win32", reason="permission bits are POSIX")
def test_new_folder_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "usual").mkdir()
    publish(tmp_path / "out", FILES, "b.bin")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "out")}
    assert len(modes) == 1


def test_files_of_other_names_stay(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"old")
    (folder / "mine.txt").write_bytes(b"keep")
    publish(folder, FILES, "b.bin")
    assert contents(folder) == {**FILES, "mine.txt": b"keep"}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_names_may_have_folders(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    publish(folder, {"a.txt": b"one"}, "a.txt")
    publish(folder, {"deep/er/b.bin": b"two"}, "deep/er/b.bin")
    assert (folder / "a.txt").read_bytes() + (folder / "deep" / "er" / "b.bin").read_bytes() == b"onetwo"


def test_failure_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written: File exists"):
        publish(tmp_path / "out", {"a.txt": b"one", "a.txt/below": b"two"}, "a.txt")
    assert list(tmp_path.iterdir()) == []


def test_failure_in_the_middle_keeps_old_files(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    publish(folder, FILES, "b.bin")
    with pytest.raises(InputError):
        publish(folder, {"a.txt": b"new", "a.txt/below": b"two"}, "a.txt")
    assert contents(folder) == FILES


def test_writable_places_are_recognised_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for folder in (tmp_path / "there", tmp_path / "new", tmp_path / "x" / "y"):
        require_writable(folder)
    assert [p.name for p in tmp_path.iterdir()] == ["there"]
    assert list((tmp_path / "there").iterdir()) == []


def test_a_file_is_no_output_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"data")
    with pytest.raises(InputError) as caught:
        require_writable(file)
    assert str(caught.value) == f"output folder {file}: is a file, not a folder; choose another --out"
    with pytest.raises(InputError) as caught:
        require_writable(file / "below")
    expected = f"output folder {file / 'below'}: cannot be made: {file} is a file, not a folder"
    assert str(caught.value) == f"{expected}; choose another --out"
    with pytest.raises(InputError, match="cannot be written"):
        publish(file / "below", FILES, "b.bin")
    assert file.read_bytes() == b"data"


def test_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    require_writable("out")
    publish("out", FILES, "b.bin")
    assert contents(tmp_path / "out") == FILES


# Publishes three files, and kills itself before the n-th time that it renames or removes one of them.
KILLED = f"""{DYING}
from secateur.reduction.publish import publish
die_at(sys.argv[2], int(sys.argv[3]), sys.argv[1])
publish(sys.argv[1], {{"certificate": b"new", "network": b"new", "report": b"new"}}, "certificate")
"""


def killed(folder: Path, event: str, number: int) -> bool:
    """Whether the process died; False if it was done before."""
    command = [sys.executable, "-c", KILLED, str(folder), event, str(number)]
    code = subprocess.run(command, check=False, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}).returncode
    assert code in (0, -9)
    return code == -9


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_kill_never_leaves_a_certificate_among_other_files(tmp_path: Path) -> None:
    deaths = 0
    for event in ("os.remove", "os.rename"):
        for number in range(1, 5):
            folder = tmp_path / f"{event}{number}"
            folder.mkdir()
            old = {"certificate": b"old", "network": b"old", "report": b"old"}
            for name, data in old.items():
                (folder / name).write_bytes(data)
            deaths += killed(folder, event, number)
            found = contents(folder)
            assert "certificate" not in found or len(set(found.values())) == 1
            publish(folder, dict.fromkeys(old, b"newer"), "certificate")
            assert contents(folder) == dict.fromkeys(old, b"newer")
    assert deaths == 1 + 3


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.parametrize("there", [False, True])
def test_a_kill_leaves_a_new_or_empty_folder_as_it_was(tmp_path: Path, *, there: bool) -> None:
    folder = tmp_path / "out"
    if there:
        folder.mkdir(mode=0o750)
    assert killed(folder, "os.rename", 1)
    assert folder.exists() == there
    assert not there or list(folder.iterdir()) == []
    assert not killed(folder, "os.rename", 2)
    assert len(contents(folder)) == 3
    assert not there or stat.S_IMODE(folder.stat().st_mode) == 0o750
    require_writable(folder)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_in_which_somebody_stands_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = tmp_path.stat().st_ino
    publish(".", FILES, "b.bin")
    assert (tmp_path.stat().st_ino, contents(tmp_path)) == (before, FILES)


@pytest.mark.skipif(sys.platform == "win32", reason="permission bits are POSIX")
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_in_a_closed_one(tmp_path: Path) -> None:
    folder = tmp_path / "closed" / "out"
    folder.mkdir(parents=True)
    folder.parent.chmod(0o500)
    publish(folder, FILES, "b.bin")
    assert contents(folder) == FILES
    folder.parent.chmod(0o700)
