"""Streams of symbols, and the header's matches."""

from __future__ import annotations

import zlib
from typing import Any

import pytest

from secateur.checker.container import read_certificate, symbols
from secateur.checker.records import Tree
from secateur.checker.refusal import Refusal
from tests.checker.support import header_of, pack, random_case


def stream(raw: bytes, nodes: int) -> Tree:
    return Tree((), 0, 0, nodes, zlib.compress(raw))


def test_symbols_take_two_bytes_beyond_254_inputs() -> None:
    assert list(symbols(stream(b"\xff\x00\x00", 3), 254, "tree")) == [255, 0, 0]
    assert list(symbols(stream(b"\x2c\x01\x00\x00\x00\x00", 3), 300, "tree")) == [300, 0, 0]


@pytest.mark.parametrize("raw", [b"\x01\x00", b"\x01\x00\x00\x00", b""])
def test_streams_hold_as_many_symbols_as_announced(raw: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        symbols(stream(raw, 3), 2, "tree")
    assert "than the announced 3 symbols" in caught.value.reason


@pytest.mark.parametrize(
    ("match", "reason"),
    [
        ([[1, 0, 1, 0], [1, 1, 1, 0]], ""),
        ([[1, 0, 1, 0], [1, 0, 1, 1]], "a neuron is matched twice"),
        ([[1, 0, 1]], "four integers are needed"),
        ([[0, 0, 1, 0]], "an integer from 1"),
        ([[1, -1, 1, 0]], "an integer from 0"),
        ({}, "a list is needed"),
    ],
)
def test_matches_follow_the_schema(match: Any, reason: str) -> None:
    case = random_case(5)
    case.tolerance, case.match = "1/2", match
    header, streams = header_of(case)
    if not reason:
        assert read_certificate(pack(header, *streams)).match == tuple(map(tuple, match))
        return
    with pytest.raises(Refusal) as caught:
        read_certificate(pack(header, *streams))
    assert reason in caught.value.reason
