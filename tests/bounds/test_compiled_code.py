"""Numba drops compiled code when the file that defines a kernel changes, and does not look at the files that it calls into.

So every file of kernels that takes something from another one holds a digest of what it takes from.
"""

from __future__ import annotations

import ast
import hashlib
import re
from functools import cache
from pathlib import Path

import pytest

from secateur.bounds import powers

FOLDER = Path(powers.__file__).parent
LINE = re.compile(r'^CALLS_INTO = "([0-9a-f]*)"', re.MULTILINE)


def text(module: str) -> str:
    return (FOLDER / f"{module}.py").read_text(encoding="utf-8")


def imported(module: str) -> list[str]:
    """The files of this package from which one takes names."""
    nodes = [node for node in ast.walk(ast.parse(text(module))) if isinstance(node, ast.ImportFrom)]
    package = "secateur.bounds."
    return sorted(node.module.removeprefix(package) for node in nodes if node.module and node.module.startswith(package))


def compiles(module: str) -> bool:
    return re.search(r"^from numba|import .*\bkernel\b|import .*\ballocating_kernel\b", text(module), re.MULTILINE) is not None


MODULES = [path.stem for path in sorted(FOLDER.glob("*.py")) if compiles(path.stem) and imported(path.stem)]


@cache
def expected(module: str) -> str:
    """The digest that belongs into a file, once those in the files it calls into are right."""
    digest = hashlib.sha256()
    for name in imported(module):
        source = text(name)
        digest.update((LINE.sub(f'CALLS_INTO = "{expected(name)}"', source) if name in MODULES else source).encode())
    return digest.hexdigest()[:16]


def test_the_files_of_kernels_are_known() -> None:
    assert {"kernels", "goals", "rows", "relaxing", "microkernel", "propagation"} <= set(MODULES)
    assert "microkernel" in imported("rows")


@pytest.mark.parametrize("module", MODULES)
def test_compiled_code_is_dropped_when_what_it_calls_into_changes(module: str) -> None:
    """If this fails, the digest in that file has to become the one found here; nothing else is wrong."""
    assert LINE.findall(text(module)) == [expected(module)]
