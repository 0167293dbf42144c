"""Every way to give a domain, and what is said of a bad one."""

from __future__ import annotations

import gzip
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secateur.errors import InputError
from secateur.specification import Domain, box_domain, data_domain, domain_of, read_domain
from secateur.specification.sources import domain_file_of

F = Fraction
VNNLIB = (
    "(declare-const X_0 Real)\n(declare-const X_1 Real)\n(declare-const Y_0 Real)\n"
    "(assert (>= X_0 0.1))(assert (<= X_0 1e0))\n(assert (and (>= X_1 -1) (<= X_1 0.25)))\n"
    "(assert (<= Y_0 0))\n"
)
BOX = Domain((F(1, 10), F(-1)), (F(1), F(1, 4)))
SIDES = "give a bound for every input on each side, such as ([0, 0], [1, 1])"
HINT = 'write {"lower": [...], "upper": [...]}'


def message(path: Path, content: str | bytes) -> str:
    """The refusal of a file with this content, its name replaced by `f`."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError) as caught:
        read_domain(path)
    return str(caught.value).replace(str(path), "f")


@pytest.mark.parametrize(
    "content",
    [
        '{"lower": [0.1, -1], "upper": [1.0, 25e-2]}',
        '{"upper": ["1", "1/4"],\n "lower": ["1/10", "-1.000"]}',
        '\ufeff\n {"lower": [0.1, "-1"], "upper": [1, " 0.25 "]}',
        VNNLIB,
        "; a comment first\n" + VNNLIB,
        "\ufeff" + VNNLIB,
        " " * 5000 + VNNLIB,
    ],
)
def test_text_is_read_exactly_whatever_its_suffix(tmp_path: Path, content: str) -> None:
    path = tmp_path / "domain.txt"
    path.write_text(content, encoding="utf-8")
    domain = read_domain(path)
    assert domain == BOX
    assert domain.description == str(path)


def test_gzipped_vnnlib(tmp_path: Path) -> None:
    path = tmp_path / "domain.vnnlib.gz"
    path.write_bytes(gzip.compress(VNNLIB.encode()))
    assert read_domain(path) == BOX
    assert "f: is a damaged gzip file" in message(path, gzip.compress(VNNLIB.encode())[:-30])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", "int8", "uint64"])
def test_npz_elements_have_their_binary_value(tmp_path: Path, dtype: str) -> None:
    lower = np.array([[0.1, 3.0]]).astype(dtype)
    upper = lower + np.array(1, dtype)
    np.savez(tmp_path / "d.npz", lower=lower, upper=upper)
    expected = [tuple(F(float(x)) for x in array.ravel()) for array in (lower, upper)]
    assert read_domain(tmp_path / "d.npz") == Domain(*expected)


def test_large_integers_are_not_rounded(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", lower=np.array([2**53 + 1]), upper=np.array([2**63 - 1]))
    assert read_domain(tmp_path / "d.npz") == Domain((F(2**53 + 1),), (F(2**63 - 1),))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", f"f: is neither a JSON, an npz nor a VNN-LIB domain; {HINT}"),
        ("lower 0 upper 1", f"f: is neither a JSON, an npz nor a VNN-LIB domain; {HINT}"),
        ('{"lower": [0],\n "upper" [1]}', "f, line 2: is no JSON: Expecting ':' delimiter in column 10"),
        ("[" * 100_000, "f: is no JSON domain"),
        (b'{"lower": ["\xff"]}', "f: is no JSON domain"),
        ("[[0], [1]]", f"f: expected one object with the two keys lower and upper; {HINT}"),
        ('["lower", "upper"]', f"f: expected one object with the two keys lower and upper; {HINT}"),
        ('{"lower": [0]}', f"f: expected one object with the two keys lower and upper; {HINT}"),
        (
            '{"lower": [0], "upper": [1], "upper": [2]}',
            f"f: expected one object with the two keys lower and upper; {HINT}",
        ),
        (
            '{"lower": [0], "upper": [1], "rows": []}',
            f"f: expected one object with the two keys lower and upper; {HINT}",
        ),
        ('{"lower": 0, "upper": 1}', "f: lower is no list of numbers"),
        ('{"lower": [0, 0],\n"upper": [1,\nNaN]}', "f, line 3: upper[1]: 'NaN' is not a finite number"),
        ('{"lower": [-Infinity], "upper": [1]}', "f, line 1: lower[0]: '-Infinity' is not a finite number"),
        ('{"lower": ["a,\\"b"], "upper": [1]}', "f, line 1: lower[0]: 'a,\"b' is not a finite number"),
        ('{"lower": [0,\n\n null], "upper": [1, 1]}', "f, line 3: lower[1]: is no number"),
        ('{"lower": [[0]], "upper": [[1]]}', "f, line 1: lower[0]: is no number"),
        ('{"lower": [true], "upper": [1]}', "f, line 1: lower[0]: is no number"),
        (
            '{"lower": [1e99999], "upper": [1]}',
            "f, line 1: lower[0]: the number '1e99999' has too many digits",
        ),
        ('{"lower": [], "upper": []}', "f: the domain has no coordinates"),
        ('{"lower": [0, 0], "upper": [1]}', "f: the domain has 2 lower but 1 upper bounds"),
        ('{"lower": [0, 2], "upper": [1, 1]}', "f: coordinate 1: lower bound 2 is above upper bound 1"),
        (
            "(declare-const X_0 Real)\n(assert (<= X_0 1))",
            "f: input X_0 (coordinate 0) has no lower bound; assert (>= X_0 ...)",
        ),
        (
            "(declare-const X_0 Real)\n(assert (<= X_1 1))",
            "f, line 2: unknown variable 'X_1'; declare it before its use",
        ),
        (b"PK\x03\x04 broken", "f: is no readable npz file: File is not a zip file"),
    ],
)
def test_bad_files(tmp_path: Path, content: str | bytes, expected: str) -> None:
    assert message(tmp_path / "domain.json", content) == expected


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.json: cannot be read: No such file or directory"):
        read_domain(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"lower": [0.0]}, "f: has no array 'upper'"),
        ({"lower": [0.0], "upper": [1.0, 2.0]}, "f: lower has shape (1,), upper (2,)"),
        (
            {"lower": [0.0, 0.0], "upper": [1.0, np.inf]},
            "f, array 'upper': coordinate 1 is inf; give a bounded box",
        ),
        ({"lower": [np.nan], "upper": [1.0]}, "f, array 'lower': coordinate 0 is nan; give a bounded box"),
        ({"lower": [0.0, 2.0], "upper": [1.0, 1.0]}, "f: coordinate 1: lower bound 2 is above upper bound 1"),
        (
            {"lower": [False], "upper": [True]},
            "f, array 'lower': elements of type bool are not integers or floats up to 64 bits",
        ),
        ({"lower": [None], "upper": [1.0]}, "f: is no readable npz file: Object arrays cannot be loaded"),
    ],
)
def test_bad_npz(tmp_path: Path, arrays: dict[str, list[Any]], expected: str) -> None:
    np.savez(tmp_path / "d.npz", **{key: np.array(values) for key, values in arrays.items()})
    assert message(tmp_path / "d.npz", (tmp_path / "d.npz").read_bytes()).startswith(expected)


def test_damaged_npz(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    np.savez_compressed(path, lower=np.zeros(4096), upper=np.ones(4096))
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF
    assert message(path, bytes(content)).startswith("f: is no readable npz file")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("lower", "0")
        archive.writestr("upper", "1")
    assert message(path, path.read_bytes()) == "f: lower and upper are no numpy arrays"


def test_box_for_all_inputs() -> None:
    assert box_domain("-0.1, 1/3", 3) == Domain((F(-1, 10),) * 3, (F(1, 3),) * 3)
    assert box_domain("0,1", 2).description == "--box 0,1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", "--box 0: expected two numbers lo,hi; write for example --box=-1,1"),
        ("0,1,2", "--box 0,1,2: expected two numbers lo,hi; write for example --box=-1,1"),
        ("0,inf", "--box 0,inf: 'inf' is not a finite number"),
        ("0,", "--box 0,: '' is not a finite number"),
        ("1,0", "--box 1,0: coordinate 0: lower bound 1 is above upper bound 0"),
    ],
)
def test_bad_boxes(text: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        box_domain(text, 2)
    assert str(caught.value) == expected


def test_box_around_data_is_exact(tmp_path: Path) -> None:
    data = np.array([[[0.1, 2.0]], [[0.3, -1.0]]], dtype=np.float32)
    np.save(tmp_path / "x.npy", data)
    domain = data_domain(tmp_path / "x.npy", "0.1")
    tenth = F(1, 10)
    lower = (F(float(np.float32(0.1))) - tenth, F(-1) - tenth)
    upper = (F(float(np.float32(0.3))) + tenth, F(2) + tenth)
    assert domain == Domain(lower, upper)
    assert domain == data_domain(tmp_path / "x.npy", tenth)
    assert all(domain.contains([F(float(x)) for x in sample.ravel()]) for sample in data)
    assert domain.description == f"box around {tmp_path / 'x.npy'}, margin 1/10"


def test_integer_data(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[0, 255], [9, 3]], dtype=np.uint8))
    assert data_domain(tmp_path / "x.npy", "0") == Domain((F(0), F(3)), (F(9), F(255)))


@pytest.mark.parametrize(
    ("data", "margin", "expected"),
    [
        (np.zeros(3), "0", "f: the data has shape (3,), expected (samples, features...)"),
        (np.zeros((0, 3)), "0", "f: the data has shape (0, 3), expected (samples, features...)"),
        (np.array([[1.0, 2.0], [3.0, np.nan]]), "0", "f: sample 1, coordinate 1 is nan"),
        (np.array([[1.0, -np.inf], [3.0, 1.0]]), "0", "f: sample 0, coordinate 1 is -inf"),
        (np.array([["a"]]), "0", "f: elements of type <U1 are not integers or floats up to 64 bits"),
        (np.zeros((1, 1), complex), "0", "f: elements of type complex128 are not integers or floats"),
        (np.zeros((1, 1)), "-0.5", "--margin: the margin -1/2 is negative"),
        (np.zeros((1, 1)), "x", "--margin: 'x' is not a finite number"),
        (np.array([[{}]]), "0", "f: is no readable npy file: Object arrays cannot be loaded"),
    ],
)
def test_bad_data(tmp_path: Path, data: Any, margin: str, expected: str) -> None:
    path = tmp_path / "x.npy"
    np.save(path, data)
    with pytest.raises(InputError) as caught:
        data_domain(path, margin)
    assert "allow_pickle" not in str(caught.value)
    assert str(caught.value).replace(str(path), "f").startswith(expected)


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize <= 8, reason="no extended floats on this machine")
def test_extended_floats_are_refused_not_rounded(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 1), np.longdouble))
    with pytest.raises(InputError, match="are not integers or floats up to 64 bits"):
        data_domain(tmp_path / "x.npy", "0")


def test_data_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.npy: is no readable npy file: No such file or directory"):
        data_domain(tmp_path / "absent.npy", "0")
    for content in ("1,2\n3,4\n", ""):
        (tmp_path / "x.csv").write_text(content)
        with pytest.raises(InputError, match=r"x\.csv: is no \.npy file; write the data as an array with numpy\.save$"):
            data_domain(tmp_path / "x.csv", "0")
    np.savez(tmp_path / "x.npz", a=np.zeros((1, 1)))
    with pytest.raises(InputError, match=r"holds several arrays; give one array as \.npy"):
        data_domain(tmp_path / "x.npz", "0")


@pytest.mark.parametrize(
    "given",
    [
        BOX,
        (["0.1", -1], [1, F(1, 4)]),
        [("1/10", "-1.000"), (1.0, 0.25)],
        ((F(1, 10), np.int8(-1)), np.array([1.0, 0.25], np.float32)),
        ([["0.1"], [-1]], np.array([[[1.0, 0.25]]])),
        (iter(["0.1", -1]), [np.array([1.0]), np.array([0.25])]),
    ],
)
def test_bounds_may_be_given_in_many_ways(given: Any) -> None:
    assert domain_of(given) == BOX
    assert domain_file_of(given) is None


def test_arrays_are_flattened_as_the_network_flattens_its_input() -> None:
    lower = np.arange(4.0).reshape(1, 2, 2)
    assert domain_of((lower, lower + 1)) == Domain((F(0), F(1), F(2), F(3)), (F(1), F(2), F(3), F(4)))
    assert domain_of((lower.T, lower.T)).lower == (0, 2, 1, 3)


def test_a_file_stays_known(tmp_path: Path) -> None:
    path = tmp_path / "domain.txt"
    path.write_text(VNNLIB)
    assert domain_of(str(path)) == domain_of(path) == BOX
    assert domain_file_of(str(path)) == path


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (([0], [1, 1]), "given as bounds: the domain has 1 lower but 2 upper bounds"),
        (([0], [1], [2]), "tuple is no domain; give a Domain, the path of a file, or (lower, upper)"),
        (([0],), "tuple is no domain; give a Domain, the path of a file, or (lower, upper)"),
        ((0, 1), f"domain, lower bounds: '0' is one value; {SIDES}"),
        (([0], "10"), f"domain, upper bounds: '10' is one value; {SIDES}"),
        (([0], np.array(1.0)), f"domain, upper bounds: '1.0' is one value; {SIDES}"),
        ({"lower": [0], "upper": [1]}, f"domain, lower bounds: 'lower' is one value; {SIDES}"),
        (([[0, 0], [0]], [1]), "domain, lower bound 0: [0, 0] is not a finite number"),
        (([0, 0, 0], np.array([[[1, 1, np.nan]]])), "domain, upper bound 2: nan is not a finite number"),
        (None, "NoneType is no domain; give a Domain, the path of a file, or (lower, upper)"),
        (7, "int is no domain; give a Domain, the path of a file, or (lower, upper)"),
        (([0.0], [float("nan")]), "domain, upper bound 0: nan is not a finite number"),
        (([2], [1]), "given as bounds: coordinate 0: lower bound 2 is above upper bound 1"),
    ],
)
def test_what_is_no_domain_is_refused(given: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        domain_of(given)
    assert str(caught.value).startswith(message)
