"""Where domains come from: a file (JSON, npz, VNN-LIB), bounds, one interval for all inputs, or the box around data.

Bounds are exact: JSON and VNN-LIB numbers are read from their text, array elements have their binary value.
"""

from __future__ import annotations

import codecs
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.errors import InputError
from secateur.specification.domain import Domain
from secateur.specification.numerals import Number, exact_rational, parse_rational, shorten
from secateur.specification.vnnlib import read_query

__all__ = ["DomainLike", "box_domain", "data_domain", "domain_file_of", "domain_of", "read_domain"]

Bounds = Sequence[Number] | NDArray[Any]
DomainLike = Domain | str | Path | tuple[Bounds, Bounds]
"""What callers may give for a domain: one, such as `Box` makes, a file that `read_domain` reads, or (lower, upper).

lower, upper : a bound for every input each, in any shape (row-major, as the network flattens it).
"""

# What numpy raises for files that are damaged, encrypted, pickled or lie about their size.
_NUMPY_FAULTS = (OSError, ValueError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)
_ZIP, _GZIP, _NPY = b"PK", b"\x1f\x8b", b"\x93NUMPY"
_JSON_ITEM = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s,"]+')


def read_domain(path: str | Path) -> Domain:
    """Read a domain from a file: JSON, npz with arrays `lower` and `upper`, or the input part of VNN-LIB.

    The kind is told by the content. JSON is `{"lower": [...], "upper": [...]}` with numbers, decimal strings
    or "p/q" strings. Raises `InputError` naming file, line and coordinate where it is no closed bounded box.
    """
    path = Path(path)
    head = _head(path)
    if head.startswith(_ZIP):
        return _read_npz(path)
    if head.startswith(_GZIP) or head[:1] in (b"(", b";"):
        return read_query(path).input_box()
    if head[:1] in (b"{", b"["):
        return _read_json(path)
    raise InputError(
        "is neither a JSON, an npz nor a VNN-LIB domain",
        where=str(path),
        remedy='write {"lower": [...], "upper": [...]}',
    )


def domain_of(given: DomainLike) -> Domain:
    """The domain that a caller means; `InputError` as of `read_domain`, and for what is no domain at all."""
    if isinstance(given, Domain):
        return given
    if isinstance(given, str | Path):
        return read_domain(given)
    try:
        lower, upper = given
    except (TypeError, ValueError):
        kind = type(given).__name__
        raise InputError(f"{kind} is no domain", remedy="give a Domain, the path of a file, or (lower, upper)") from None
    return Domain(_side_bounds(lower, "lower"), _side_bounds(upper, "upper"), "given as bounds")


def _side_bounds(given: Any, side: str) -> tuple[Fraction, ...]:
    """One side of a box from values of any shape, row-major."""
    where, remedy = f"domain, {side} bounds", "give a bound for every input on each side, such as ([0, 0], [1, 1])"
    try:
        # Only arrays have a type of their own: of a list, numpy would make one that holds none of its numbers exactly.
        values = np.asarray(given) if hasattr(given, "__array__") else np.asarray(_listed(given), dtype=object)
    except ValueError:
        raise InputError("these arrays are not all of one shape", where=where) from None
    if not values.shape:
        raise InputError(f"{shorten(str(given))} is one value", where=where, remedy=remedy)
    return tuple(exact_rational(value, f"domain, {side} bound {i}") for i, value in enumerate(values.ravel().tolist()))


def _listed(given: Any) -> Any:
    """What is iterated over as a list; a text is one value."""
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str) else given


def domain_file_of(given: DomainLike) -> Path | None:
    """The file that a domain comes from; None where there is none."""
    return Path(given) if isinstance(given, str | Path) else None


def box_domain(interval: str, dimension: int) -> Domain:
    """The box [lo, hi]^dimension from the text `lo,hi` of the option `--box`."""
    where = f"--box {interval}"
    ends = [end.strip() for end in interval.split(",")]
    if len(ends) != 2:
        raise InputError("expected two numbers lo,hi", where=where, remedy="write for example --box=-1,1")
    low, high = (parse_rational(end, where) for end in ends)
    return Domain((low,) * dimension, (high,) * dimension, where)


def data_domain(path: str | Path, margin: str | Fraction) -> Domain:
    """The smallest box around a data set, widened by `margin` >= 0 on every side, exactly.

    `path` is a `.npy` array of shape (samples, features...) of integers or of floats up to 64 bits; the
    features are flattened row-major.
    """
    where = str(path)
    widening = parse_rational(margin, "--margin") if isinstance(margin, str) else margin
    if widening < 0:
        raise InputError(f"the margin {widening} is negative", where="--margin")
    data = _load_array(Path(path))
    if data.ndim < 2 or data.size == 0:
        raise InputError(f"the data has shape {data.shape}, expected (samples, features...)", where=where)
    flat = data.reshape(len(data), -1)
    low, high = flat.min(axis=0), flat.max(axis=0)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        sample, feature = np.argwhere(~np.isfinite(flat))[0].tolist()
        value = flat[sample, feature]
        raise InputError(f"sample {sample}, coordinate {feature} is {value}", where=where)
    return Domain(
        tuple(Fraction(value) - widening for value in low.tolist()),
        tuple(Fraction(value) + widening for value in high.tolist()),
        f"box around {where}, margin {widening}",
    )


def _head(path: Path) -> bytes:
    """The first bytes that are neither blanks nor a byte order mark."""
    try:
        with path.open("rb") as stream:
            start = stream.read(4096).removeprefix(codecs.BOM_UTF8).lstrip()
            while not start and (block := stream.read(4096)):
                start = block.lstrip()
            return start
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from None


def _read_npz(path: Path) -> Domain:
    try:
        # numpy leaves its own handle open on a broken archive, so it gets ours.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            missing = {"lower", "upper"} - set(archive.files)
            arrays = {} if missing else {key: archive[key] for key in ("lower", "upper")}
    except _NUMPY_FAULTS as error:
        raise InputError(f"is no readable npz file: {_reason(error)}", where=str(path)) from None
    if missing:
        raise InputError(f"has no array {min(missing)!r}", where=str(path))
    lower, upper = arrays["lower"], arrays["upper"]
    if not (isinstance(lower, np.ndarray) and isinstance(upper, np.ndarray)):
        raise InputError("lower and upper are no numpy arrays", where=str(path))
    if lower.shape != upper.shape:
        raise InputError(f"lower has shape {lower.shape}, upper {upper.shape}", where=str(path))
    low, high = (_exact_elements(array, f"{path}, array {key!r}") for key, array in arrays.items())
    return Domain(low, high, str(path))


def _load_array(path: Path) -> NDArray[Any]:
    try:
        with path.open("rb") as stream:
            known = stream.read(len(_NPY)).startswith((_NPY, _ZIP))
            stream.seek(0)
            # Anything else numpy takes for a pickle, and says how to load that.
            data = np.load(stream, allow_pickle=False) if known else None
    except _NUMPY_FAULTS as error:
        raise InputError(f"is no readable npy file: {_reason(error)}", where=str(path)) from None
    if data is None:
        raise InputError("is no .npy file", where=str(path), remedy="write the data as an array with numpy.save")
    if not isinstance(data, np.ndarray):
        raise InputError("holds several arrays", where=str(path), remedy="give one array as .npy")
    _require_exact_type(data, str(path))
    return data


def _reason(error: Exception) -> str:
    """What numpy or the system says, without advice on options that users of ours do not have."""
    return str(getattr(error, "strerror", None) or error).partition(" when allow_pickle")[0]


def _require_exact_type(array: NDArray[Any], where: str) -> None:
    """Integers and floats of at most 64 bits become Python numbers, hence rationals, without rounding."""
    if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
        raise InputError(f"elements of type {array.dtype} are not integers or floats up to 64 bits", where=where)


def _exact_elements(array: NDArray[Any], where: str) -> tuple[Fraction, ...]:
    _require_exact_type(array, where)
    flat = array.reshape(-1)
    finite = np.isfinite(flat)
    if not finite.all():
        index = int(np.argmin(finite))
        raise InputError(f"coordinate {index} is {flat[index]}", where=where, remedy="give a bounded box")
    return tuple(map(Fraction, flat.tolist()))


def _read_json(path: Path) -> Domain:
    try:
        text = path.read_text(encoding="utf-8-sig")
        # Numbers stay text, so that 0.1 is one tenth and NaN is refused with its coordinate.
        pairs = json.loads(text, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=list)
    except json.JSONDecodeError as error:
        problem = f"is no JSON: {error.msg} in column {error.colno}"
        raise InputError(problem, where=f"{path}, line {error.lineno}") from None
    except (UnicodeDecodeError, RecursionError):
        raise InputError("is no JSON domain", where=str(path)) from None
    names = [pair[0] if isinstance(pair, tuple) else None for pair in pairs]
    if sorted(map(str, names)) != ["lower", "upper"]:
        remedy = 'write {"lower": [...], "upper": [...]}'
        raise InputError("expected one object with the two keys lower and upper", where=str(path), remedy=remedy)
    bounds = {key: _json_bounds(path, text, key, values) for key, values in pairs}
    return Domain(bounds["lower"], bounds["upper"], str(path))


def _json_bounds(path: Path, text: str, key: str, values: object) -> tuple[Fraction, ...]:
    if not isinstance(values, list):
        raise InputError(f"{key} is no list of numbers", where=str(path))
    return tuple(_json_bound(path, text, f"{key}[{i}]", value) for i, value in enumerate(values))


def _json_bound(path: Path, text: str, name: str, value: object) -> Fraction:
    try:
        if isinstance(value, str):
            return parse_rational(value.strip())
        problem = "is no number"
    except InputError as error:
        problem = error.problem
    raise InputError(f"{name}: {problem}", where=f"{path}, line {_json_line(text, name)}")


def _json_line(text: str, name: str) -> int:
    """The line of an element such as `lower[3]` in JSON text whose earlier elements are plain."""
    key, index = name.rstrip("]").split("[")
    opening = re.search(rf'"{key}"\s*:\s*\[', text)
    if opening is None:  # the key is written with escapes
        return 1
    for count, item in enumerate(_JSON_ITEM.finditer(text, opening.end())):
        if count == int(index):
            return text.count("\n", 0, item.start()) + 1
    return text.count("\n") + 1
