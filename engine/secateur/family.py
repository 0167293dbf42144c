"""A family of slices at work: finds the slice of every input, and evaluates its network. Needs numpy and onnxruntime only.

    family = secateur.Family.load("sliced")
    outputs = family.predict(X)                        # X of shape (rows, inputs)

An input counts as the number of the networks' element type that it is rounded to, as for any ONNX file. Where that lies is
decided exactly: cuts are rationals, and the largest such number below each stands for it. A point on a face that two slices
share belongs to the first (lower) one; both are correct there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from secateur.errors import InputError
from secateur.files import bytes_of
from secateur.manifest import read_manifest, require_certified
from secateur.session import Session

__all__ = ["CERTIFICATE", "MANIFEST", "Family", "representable_box"]

MANIFEST, CERTIFICATE = "manifest.json", "family.secateur"


class Family:
    """Networks that together are one network on a domain.

    Made by `Family.load`. slices : how many. lower, upper : the smallest and the largest input of the element type inside the
    domain, so np.clip(X, family.lower, family.upper) is never refused. (In a coordinate where no number of the type lies inside,
    the nearest one stands for all of them.)
    """

    def __init__(self, manifest: bytes, read: Callable[[str], bytes], where: str) -> None:
        """`read` gives the bytes of a file that the manifest names; OSError where it is missing."""
        content = read_manifest(manifest, f"{where}/{MANIFEST}")
        self._read, self._where = read, where
        self._files = content.files
        for number in range(len(self._files)):
            self._verified(number)
        self._sessions: dict[int, Session] = {}
        self._type = self._session(0).type
        self._tree = _Tree(content.nodes, self._type)
        self.lower, self.upper = representable_box(content.lower, content.upper, self._type)
        self.slices = len(self._tree.files)

    @classmethod
    def load(cls, folder: str | Path) -> Family:
        """Open the folder that `secateur slice` wrote. InputError where a file is missing or altered; it names the file.

        Whether the manifest is altered is told by the certificate, if that lies beside it; it has the digests of the networks.
        """
        folder = Path(folder)
        manifest = bytes_of(folder / MANIFEST)
        for name in (CERTIFICATE, "certificate.secateur"):  # the checker looks for both
            if (folder / name).exists():
                require_certified(manifest, bytes_of(folder / name), str(folder / MANIFEST))
        return cls(manifest, lambda name: (folder / name).read_bytes(), str(folder))

    def __repr__(self) -> str:
        return f"<Family {self._where!r}: {self.slices} slices, {self.input_size} inputs of {np.dtype(self._type).name}>"

    @property
    def input_size(self) -> int:
        return len(self.lower)

    def predict(self, inputs: ArrayLike) -> NDArray[Any]:
        """The outputs, in the networks' element type: shape (rows, outputs) for (rows, inputs), (outputs,) for one input.

        Rows may have the shape of the original's input instead. InputError for an input outside the domain, or of another size.
        """
        given = np.asarray(inputs)
        rows = self._rows(given)
        files = self._tree.find(rows)
        order = np.argsort(files, kind="stable")
        bounds = np.flatnonzero(np.diff(files[order])) + 1
        parts = [self._session(int(files[group[0]])).evaluate(rows[group]) for group in np.split(order, bounds) if len(group)]
        if not parts:
            return self._session(0).evaluate(self.lower[None])[:0]
        outputs = np.empty((len(rows), parts[0].shape[1]), dtype=parts[0].dtype)
        outputs[order] = np.concatenate(parts)
        return outputs[0] if given.ndim == 1 else outputs

    def find(self, inputs: ArrayLike) -> NDArray[np.int64]:
        """The number of the slice (leaves of the tree in preorder) of every row. InputError as for `predict`."""
        return self._tree.leaves(self._rows(np.asarray(inputs)))

    def _rows(self, given: NDArray[Any]) -> NDArray[Any]:
        size = self.input_size
        if given.ndim == 0 or given.size != (given.shape[0] if given.ndim > 1 else 1) * size:
            raise InputError(f"inputs of shape {given.shape} are not rows of {size} numbers", where=self._where)
        with np.errstate(over="ignore"):
            rows = given.reshape(-1, size).astype(self._type)
        inside = (rows >= self.lower) & (rows <= self.upper)  # NaN is not
        if not inside.all():
            row, i = (int(v) for v in np.argwhere(~inside)[0])
            raise InputError(
                f"row {row}, coordinate {i}: {rows[row, i]!s} is outside the domain, {self.lower[i]!s} to {self.upper[i]!s}",
                where=self._where,
                remedy="the family is proven on the domain only",
            )
        return rows

    def _verified(self, number: int) -> bytes:
        name, sha256 = self._files[number]
        try:
            data = self._read(name)
        except OSError as error:
            raise InputError(f"{name} cannot be read: {error.strerror or error}", where=self._where) from None
        if hashlib.sha256(data).hexdigest() != sha256:
            raise InputError(f"{name} is not the file that the manifest names: its SHA-256 differs", where=self._where)
        return data

    def _session(self, number: int) -> Session:
        """The network of a file, opened when it is first needed, from bytes whose digest was compared then."""
        if number not in self._sessions:
            where = f"{self._where}: {self._files[number][0]}"
            session = Session(self._verified(number), where)
            if self._sessions and session.type is not self._type:
                raise InputError(f"computes in another element type than {self._files[0][0]}", where=where)
            self._sessions[number] = session
        return self._sessions[number]


class _Tree:
    """The partition as arrays over its nodes in preorder; the first child of a node is the node after it."""

    def __init__(self, nodes: Sequence[tuple[int, Fraction] | int], kind: type[np.floating[Any]]) -> None:
        count = len(nodes)
        inner = np.array([not isinstance(node, int) for node in nodes])
        self._coordinate = np.full(count, -1, dtype=np.int64)
        self._cut = np.zeros(count, dtype=kind)
        self._second = np.zeros(count, dtype=np.int64)
        waiting: list[int] = []
        for v, node in enumerate(nodes):
            if v and not inner[v - 1]:
                self._second[waiting.pop()] = v
            if not isinstance(node, int):
                self._coordinate[v], self._cut[v] = node[0], _below(node[1], kind)
                waiting.append(v)
        self._file = np.array([node if isinstance(node, int) else -1 for node in nodes], dtype=np.int64)
        self._number = np.cumsum(~inner) - 1
        self.files = self._file[~inner]

    def _descend(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        at = np.zeros(len(rows), dtype=np.int64)
        moving = np.arange(len(rows))
        while True:
            moving = moving[self._coordinate[at[moving]] >= 0]
            if not len(moving):
                return at
            here = at[moving]
            first = rows[moving, self._coordinate[here]] <= self._cut[here]
            at[moving] = np.where(first, here + 1, self._second[here])

    def find(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """The file of every row."""
        return self._file[self._descend(rows)]

    def leaves(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """The leaf of every row."""
        numbers: NDArray[np.int64] = self._number[self._descend(rows)]
        return numbers


def _below(value: Fraction, kind: type[np.floating[Any]]) -> np.floating[Any]:
    """The largest number of the type that is at most the value, -inf where there is none: x <= it exactly where x <= value."""
    largest = np.finfo(kind).max
    if value >= Fraction(float(largest)):
        return largest
    if value < -Fraction(float(largest)):
        return kind(-np.inf)
    near = kind(float(value))
    while Fraction(float(near)) > value:
        near = np.nextafter(near, kind(-np.inf))
    while Fraction(float(above := np.nextafter(near, kind(np.inf)))) <= value:
        near = above
    return near


def representable_box(
    lower: Sequence[Fraction], upper: Sequence[Fraction], kind: type[np.floating[Any]]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The smallest and the largest number of the type in each interval; the nearest one twice where there is none."""
    low = np.array([-_below(-v, kind) for v in lower], dtype=kind)
    high = np.array([_below(v, kind) for v in upper], dtype=kind)
    for i in map(int, np.flatnonzero(low > high)):
        if np.isfinite(low[i]) and np.isfinite(high[i]):
            below_is_nearer = lower[i] - Fraction(float(high[i])) < Fraction(float(low[i])) - upper[i]
        else:  # the interval lies beyond all numbers of the type: its largest or smallest one
            below_is_nearer = np.isfinite(high[i])
        low[i] = high[i] = high[i] if below_is_nearer else low[i]
    return low, high
