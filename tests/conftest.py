"""Fixtures that every test package shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of public benchmarks, or a skip that names it where a user has only the repository."""
    folder = Path(os.environ.get("SECATEUR_DATA", ROOT / ".." / "shared" / "data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"benchmark data not found: {folder} (set SECATEUR_DATA)")
    return folder
