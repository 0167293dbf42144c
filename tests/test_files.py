"""Files appear complete or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from secateur.errors import InputError
from secateur.files import write_atomically


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
