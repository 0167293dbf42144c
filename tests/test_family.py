"""A family at work: exact choice of the slice, rows in any order, and clear refusals."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import secateur
from secateur import Family, InputError
from secateur.family import _below, _Tree, representable_box
from secateur.network import Interface, Network, read_onnx, to_model_bytes
from secateur.session import Session
from secateur.slicing import FamilyResult, slice_network
from tests.reduction.runs import BUNDLED
from tests.reduction.slicing.test_run import Here
from tests.reduction.support import chain

IRIS, BOX = BUNDLED / "iris.onnx", BUNDLED / "iris.domain.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("family") / "iris"
    slice_network(IRIS, BOX, slices=7, out=folder, timeout=60.0, jobs=1, executor=Here())
    return folder


@pytest.fixture(scope="module")
def family(folder: Path) -> Family:
    return Family.load(folder)


def points(family: Family, count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    share = np.random.default_rng(0).random((count, family.input_size))
    spread = family.lower + (family.upper.astype(np.float64) - family.lower) * share
    return np.clip(spread.astype(np.float32), family.lower, family.upper)


def test_predictions_are_those_of_the_original(family: Family) -> None:
    import onnxruntime

    x = points(family, 500)
    session = onnxruntime.InferenceSession(str(IRIS))
    expected = session.run(None, {session.get_inputs()[0].name: x})[0]
    assert np.allclose(family.predict(x), expected, atol=1e-4)
    assert family.predict(x).dtype == np.float32
    assert family.slices == 7
    assert len(set(family.find(x).tolist())) > 1


def test_rows_are_independent_of_their_order_and_number(family: Family) -> None:
    x = points(family, 50)
    whole = family.predict(x)
    assert np.allclose(family.predict(x[::-1])[::-1], whole, atol=1e-6)
    assert np.allclose(np.stack([family.predict(row) for row in x]), whole, atol=1e-6)
    assert family.predict(x[:0]).shape == (0, whole.shape[1])
    assert np.allclose(family.predict(x.reshape(50, 1, -1)), whole, atol=1e-6)


def test_the_tree_finds_what_a_search_through_all_boxes_finds() -> None:
    third, tenth, seventh = Fraction(1, 3), Fraction(1, 10), Fraction(1, 7)
    tree = _Tree([(0, third), (1, tenth), 4, (0, seventh), 3, 2, (1, -3 * tenth), 1, 0], np.float32)
    x = np.random.default_rng(0).choice(np.float32([1 / 3, 1 / 7, 0.1, -0.3, 0.2, 0.9, -1]), (400, 2))
    x = np.where(np.random.default_rng(1).random((400, 2)) < 0.5, x, np.nextafter(x, np.float32(-1)))

    def by_hand(a: Fraction, b: Fraction) -> int:
        if a <= Fraction(1, 3):
            return 4 if b <= Fraction(1, 10) else 3 if a <= Fraction(1, 7) else 2
        return 1 if b <= Fraction(-3, 10) else 0

    assert tree.find(x).tolist() == [by_hand(Fraction(float(a)), Fraction(float(b))) for a, b in x]
    assert tree.files.tolist() == [4, 3, 2, 1, 0]
    assert (tree.files[tree.leaves(x)] == tree.find(x)).all()


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("value", [Fraction(1, 3), Fraction(-1, 3), Fraction(1, 2), Fraction(0), Fraction(1, 10**12)])
def test_numbers_below_are_exact(value: Fraction, kind: type[np.floating[Any]]) -> None:
    below = _below(value, kind)
    above = np.nextafter(below, kind(np.inf))
    assert Fraction(float(below)) <= value < Fraction(float(above))


def test_a_coordinate_without_a_number_of_the_type_has_the_nearest() -> None:
    third = Fraction(1, 3)
    low, high = representable_box([third, Fraction(0)], [third, Fraction(1)], np.float32)
    assert low[0] == high[0] == np.float32(1 / 3)
    assert (low[1], high[1]) == (0, 1)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.filterwarnings("error")
def test_bounds_beyond_the_type_are_its_largest_numbers(kind: type[np.floating[Any]]) -> None:
    largest = Fraction(float(np.finfo(kind).max))
    lower = [-2 * largest, -largest, largest, 2 * largest, -3 * largest, largest - 1]
    upper = [2 * largest, largest, largest, 3 * largest, -2 * largest, largest + 1]
    low, high = representable_box(lower, upper, kind)
    top = np.finfo(kind).max
    assert low[:5].tolist() == [-top, -top, top, top, -top]
    assert high.tolist() == [top, top, top, top, -top, top]
    assert low[5] == top
    assert (_below(largest * 2, kind), _below(-largest * 2, kind)) == (top, -np.inf)


def test_inputs_outside_are_refused_by_row_and_coordinate(family: Family) -> None:
    x = points(family, 4)
    for row, coordinate, value in ((2, 1, np.inf), (3, 0, np.nan), (0, 3, np.nextafter(family.upper[3], np.float32(9)))):
        wrong = x.copy()
        wrong[row, coordinate] = value
        with pytest.raises(InputError, match=f"row {row}, coordinate {coordinate}: .* is outside the domain"):
            family.predict(wrong)
    family.predict(np.stack([family.lower, family.upper]))


@pytest.mark.parametrize("shape", [(3,), (2, 3), (), (5, 4, 2)])
def test_inputs_of_another_size_are_refused(family: Family, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="are not rows of 4 numbers"):
        family.predict(np.zeros(shape))


def copied(folder: Path, target: Path) -> Path:
    for path in folder.rglob("*"):
        if path.is_file():
            (target / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            (target / path.relative_to(folder)).write_bytes(path.read_bytes())
    return target


def test_altered_and_missing_files_are_named(folder: Path, tmp_path: Path) -> None:
    copy = copied(folder, tmp_path / "copy")
    victim = copy / "slices" / "00001.onnx"
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(data)
    with pytest.raises(InputError, match=r"slices/00001\.onnx is not the file that the manifest names: its SHA-256 differs"):
        Family.load(copy)
    victim.unlink()
    with pytest.raises(InputError, match=r"slices/00001\.onnx cannot be read: No such file"):
        Family.load(copy)
    (copy / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match=r"manifest\.json: is not the file that was certified: its SHA-256 differs"):
        Family.load(copy)
    (copy / "family.secateur").write_bytes(b"SECATEUR1\n" + bytes(8) + b"{}")
    with pytest.raises(InputError, match=r"manifest\.json: cannot be compared with its certificate, which is damaged"):
        Family.load(copy)
    (copy / "family.secateur").unlink()
    with pytest.raises(InputError, match="is no manifest of a family: another format or version"):
        Family.load(copy)
    with pytest.raises(InputError, match=r"manifest\.json: cannot be read"):
        Family.load(tmp_path / "nowhere")


def test_slices_of_different_element_types_are_refused(folder: Path, tmp_path: Path) -> None:
    copy = copied(folder, tmp_path / "copy")
    manifest = json.loads((copy / "manifest.json").read_text())
    second = copy / manifest["files"][1]["file"]
    network = read_onnx(second)
    second.write_bytes(to_model_bytes(replace(network, interface=replace(network.interface, element_type="float64"))))
    manifest["files"][1]["sha256"] = hashlib.sha256(second.read_bytes()).hexdigest()
    (copy / "manifest.json").write_text(json.dumps(manifest))
    (copy / "family.secateur").unlink()
    family = Family.load(copy)
    with pytest.raises(InputError, match=r"computes in another element type than slices/0"):
        family.predict(points(family, 200))


def test_a_certificate_of_the_other_name_counts_if_it_is_about_a_family(folder: Path, tmp_path: Path) -> None:
    copy = copied(folder, tmp_path / "copy")
    (copy / "family.secateur").rename(copy / "certificate.secateur")
    assert Family.load(copy).slices == 7
    (copy / "manifest.json").write_text((copy / "manifest.json").read_text() + " ")
    with pytest.raises(InputError, match=r"manifest\.json: is not the file that was certified"):
        Family.load(copy)
    secateur.prune(IRIS, BOX, solver="none").save(tmp_path / "pruned")
    (copy / "certificate.secateur").write_bytes((tmp_path / "pruned" / "certificate.secateur").read_bytes())
    assert Family.load(copy).slices == 7


def test_a_manifest_is_compared_with_the_certificate_where_there_is_one(folder: Path, tmp_path: Path) -> None:
    copy = copied(folder, tmp_path / "copy")
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["lower"][0] = "-1000"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="is not the file that was certified"):
        Family.load(copy)
    (copy / "family.secateur").unlink()
    assert Family.load(copy).lower[0] == -1000  # nothing is there to compare it with


def test_a_file_that_changes_after_loading_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = copied(folder, tmp_path / "copy")
    family = Family.load(copy)
    x = points(family, 200)
    for path in (copy / "slices").iterdir():
        path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(InputError, match="its SHA-256 differs"):
        family.predict(x)


def test_needs_numpy_and_onnxruntime_only(folder: Path) -> None:
    script = (
        "import sys\n"
        "for name in ('numba', 'onnx', 'pysmt', 'z3', 'cvc5', 'highspy', 'rich'):\n"
        "    sys.modules[name] = None\n"
        "import secateur\n"
        f"family = secateur.Family.load({str(folder)!r})\n"
        "print(family.predict(family.lower[None]).shape)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(secateur.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout) == (0, "(1, 3)\n"), done.stderr


def test_summary_and_report_tell_the_same(folder: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    page = (folder / "report.html").read_text()
    assert summary["slices"] == len(summary["leaves"]) == summary["nodes"].count(None) == 7
    assert summary["parameters"]["mean"] == pytest.approx(np.mean([leaf[0] for leaf in summary["leaves"]]))
    assert "became 7 slices" in page
    assert page.count("<rect") > 7
    assert "<script" not in page


def test_the_result_itself_is_a_family() -> None:
    result: FamilyResult = slice_network(IRIS, BOX, slices=2, timeout=60.0, jobs=1, executor=Here())
    assert result.family().slices == 2
    assert result.folder is None


@pytest.mark.filterwarnings("error")
def test_a_domain_beyond_the_element_type(tmp_path: Path) -> None:
    """Cuts, bounds and points are those of float16, although the domain is wider; what overflows is not compared."""
    network = chain(([[1.0, 0.5], [-0.25, 1.0]], [0.0, 1.0]), ([[1.0, -1.0], [0.5, 0.25]], [0.0, 0.0]))
    ports = Interface(input_shape=(None, 2), output_shape=(None, 2), element_type="float16")
    model = tmp_path / "half.onnx"
    model.write_bytes(to_model_bytes(Network(2, network.layers, network.output, ports)))
    wide = (["-70000"] * 2, ["70000"] * 2)
    result = slice_network(model, wide, out=tmp_path / "wide", slices=2, timeout=30.0, jobs=1, executor=Here())
    assert 0 < result.summary["agreement"]["overflows"] < result.summary["agreement"]["points"] + 50_000
    family = Family.load(tmp_path / "wide")
    assert (family.lower.tolist(), family.upper.tolist()) == ([-65504] * 2, [65504] * 2)
    x = np.random.default_rng(0).uniform(-9_000, 9_000, (100, 2))
    assert np.array_equal(family.predict(x), Session(model.read_bytes(), "half").evaluate(x.astype(np.float16)))
    beyond = slice_network(model, (["70000"] * 2, ["80000"] * 2), slices=1, timeout=30.0, jobs=1, executor=Here())
    assert beyond.family().lower.tolist() == [65504] * 2
