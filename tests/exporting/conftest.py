"""Certificates that several modules export; made once."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

import secateur
from secateur.slicing import slice_network
from secateur.specification import read_domain
from tests.reduction.runs import BUNDLED
from tests.reduction.slicing.test_run import Here

IRIS, BOX = BUNDLED / "iris.onnx", BUNDLED / "iris.domain.json"


@pytest.fixture(scope="session")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundled network pruned exactly: a claim of equality, and facts about neurons."""
    folder = tmp_path_factory.mktemp("pruned") / "iris"
    secateur.prune(IRIS, BOX, out=folder, jobs=1, solver="none", timeout=30)
    return folder / "certificate.secateur"


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network in slices."""
    folder = tmp_path_factory.mktemp("sliced") / "iris"
    slice_network(IRIS, BOX, slices=3, out=folder, timeout=60.0, jobs=1, executor=Here())
    return folder / "family.secateur"


@pytest.fixture(scope="session")
def centre() -> tuple[Fraction, ...]:
    """The centre of the box of both."""
    box = read_domain(BOX)
    return tuple((low + high) / 2 for low, high in zip(box.lower, box.upper, strict=True))
