"""The manifest of a family as it is read for use: one tree with a network at every leaf, or one clear line."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest

from secateur.errors import InputError
from secateur.manifest import Manifest, read_manifest

HASH = "0" * 64
GOOD: dict[str, Any] = {
    "format": "secateur-family",
    "version": 1,
    "producer": "p",
    "lower": ["-1", "0"],
    "upper": ["1/3", "0.5"],
    "files": [{"file": "slices/0.onnx", "sha256": HASH}, {"file": "slices/1.onnx", "sha256": HASH}],
    "nodes": [[0, "-1e-1"], 0, [1, "1/4"], 1, 0],
}


def test_a_manifest_is_read_exactly() -> None:
    third, half, tenth, quarter = Fraction(1, 3), Fraction(1, 2), Fraction(1, 10), Fraction(1, 4)
    names = (("slices/0.onnx", HASH), ("slices/1.onnx", HASH))
    nodes = ((0, -tenth), 0, (1, quarter), 1, 0)
    expected = Manifest((Fraction(-1), Fraction(0)), (third, half), names, nodes)
    assert read_manifest(json.dumps(GOOD).encode(), "m") == expected


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": "another"}, "another format or version"),
        ({"version": 2}, "another format or version"),
        ({"lower": ["-1"]}, "the numbers of bounds differ, or are 0"),
        ({"lower": "-1"}, "'lower' is no list, or empty"),
        ({"lower": ["-1", "x"]}, "'x' is no exact number"),
        ({"lower": ["-1", 0]}, "'0' is no exact number"),
        ({"lower": ["-1", "1e99999999"]}, "'1e99999999' is no exact number"),
        ({"lower": ["-1", "NaN"]}, "'NaN' is no exact number"),
        ({"lower": ["-1", "1/0"]}, "Fraction(1, 0)"),
        ({"lower": ["-1", "0.75"]}, "a lower bound is above an upper one"),
        ({"files": "slices"}, "'files' is no list, or empty"),
        ({"files": []}, "'files' is no list, or empty"),
        ({"files": [{"file": "slices/0.onnx"}]}, "a file without name or SHA-256"),
        ({"files": [["slices/0.onnx", HASH]]}, "a file without name or SHA-256"),
        ({"nodes": [0, 1]}, "the tree ends before node 1"),
        ({"nodes": [[0, "0"]]}, "the list of nodes ends before the tree does"),
        ({"nodes": [99]}, "node 0: there is no file 99"),
        ({"nodes": [-1]}, "node 0: there is no file -1"),
        ({"nodes": [True]}, "node 'True' is neither a cut nor the number of a file"),
        ({"nodes": ["a"]}, "node 'a' is neither a cut nor the number of a file"),
        ({"nodes": [[0, "0", 1], 0, 1]}, "node \"[0, '0', 1]\" is neither a cut nor the number of a file"),
        ({"nodes": [[9, "0"], 0, 1]}, "node 0 does not cut its box"),
        ({"nodes": [[0, "x"], 0, 1]}, "'x' is no exact number"),
        ({"nodes": [[0, "1/3"], 0, 1]}, "node 0 does not cut its box"),
        ({"nodes": [[0, "0"], [0, "1/4"], 0, 1, 1]}, "node 1 does not cut its box"),
    ],
)
def test_what_is_no_manifest_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError) as caught:
        read_manifest(json.dumps(GOOD | change).encode(), "m")
    assert str(caught.value) == f"m: is no manifest of a family: {reason}"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"3", b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^m: is no manifest of a family: "):
        read_manifest(data, "m")
