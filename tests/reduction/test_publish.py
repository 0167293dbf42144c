"""A folder of results appears whole or not at all."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from secateur.errors import InputError
from secateur.reduction.publish import publish, require_writable

FILES = {"a.txt": b"one", "b.bin": bytes(range(256))}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_new_folder_with_missing_parents(tmp_path: Path) -> None:
    folder = tmp_path / "x" / "y" / "out"
    publish(folder, FILES)
    assert contents(folder) == FILES
    assert [p.name for p in folder.parent.iterdir()] == ["out"]


@pytest.mark.skipif(sys.platform == "win32", reason="permission bits are POSIX")
def test_new_folder_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "usual").mkdir()
    publish(tmp_path / "out", FILES)
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "out")}
    assert len(modes) == 1


def test_files_of_other_names_stay(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"old")
    (folder / "mine.txt").write_bytes(b"keep")
    publish(folder, FILES)
    assert contents(folder) == {**FILES, "mine.txt": b"keep"}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_names_may_have_folders(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    publish(folder, {"a.txt": b"one"})
    publish(folder, {"deep/er/b.bin": b"two"})
    assert (folder / "a.txt").read_bytes() + (folder / "deep" / "er" / "b.bin").read_bytes() == b"onetwo"


def test_failure_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written: File exists"):
        publish(tmp_path / "out", {"a.txt": b"one", "a.txt/below": b"two"})
    assert list(tmp_path.iterdir()) == []


def test_failure_in_the_middle_keeps_old_files(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    publish(folder, FILES)
    with pytest.raises(InputError):
        publish(folder, {"a.txt": b"new", "a.txt/below": b"two"})
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
        publish(file / "below", FILES)
    assert file.read_bytes() == b"data"


def test_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    require_writable("out")
    publish("out", FILES)
    assert contents(tmp_path / "out") == FILES
