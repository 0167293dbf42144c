"""Fixtures that every test package shares."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _kernel_sources() -> str:
    """A digest of everything that is compiled, or inlined into what is compiled."""
    digest = hashlib.sha256()
    for folder in ("bounds", "checker"):
        for path in sorted((ROOT / "engine" / "secateur" / folder).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


# numba's cache looks at the file that defines a kernel, not at those it calls into: a test must never run yesterday's code.
os.environ["NUMBA_CACHE_DIR"] = str(Path(tempfile.gettempdir()) / f"secateur-kernels-{_kernel_sources()}")


@pytest.fixture(scope="session", autouse=True)
def compiled_kernels() -> None:
    """Compile before anything is timed: no test's time limit is for the compiler."""
    from secateur.bounds import warmup

    warmup()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of public benchmarks, or a skip that names it where a user has only the repository."""
    folder = Path(os.environ.get("SECATEUR_DATA", ROOT / ".." / "shared" / "data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"benchmark data not found: {folder} (set SECATEUR_DATA)")
    return folder
