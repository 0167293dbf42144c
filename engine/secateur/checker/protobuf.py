"""A reader for the protobuf wire format: as much of it as ONNX files use.

A message becomes a dict from field number to the list of its raw values in file order: integers for varints, `Fixed`
for fixed-width fields, bytes for everything with a length. What the numbers mean is `onnx_model`'s business.

Readers differ in what they make of tags and lengths that do not fit into 32 bits: some drop the upper ones, and so see another
field. Such files are refused, lest two readers see two networks in one file.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from secateur.checker.refusal import Refusal

__all__ = ["Fixed", "Message", "Value", "fields", "fixed", "integers", "one_bytes", "one_fixed", "one_integer", "signed", "text"]


@dataclass(frozen=True)
class Fixed:
    """The four or eight bytes of a fixed-width field: a float or a double."""

    raw: bytes


_MOST_TAG, _MOST_LENGTH = (1 << 32) - 1, (1 << 31) - 1

Value = int | bytes | Fixed
Message = dict[int, list[Value]]


def _malformed(reason: str) -> Refusal:
    return Refusal("onnx", "protobuf", reason)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        if at >= len(data):
            raise _malformed("the file ends inside a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    raise _malformed("a number has more than ten bytes")


def _short(data: bytes, at: int, most: int) -> tuple[int, int]:
    """A tag or a length: at most five bytes and `most`."""
    value, end = _varint(data, at)
    if end - at > 5 or value > most:
        raise _malformed("a tag or a length has more than 32 bits")
    return value, end


def _take(data: bytes, at: int, length: int) -> tuple[bytes, int]:
    if length > len(data) - at:
        raise _malformed("the file ends inside a field")
    return data[at : at + length], at + length


def fields(data: bytes) -> Message:
    """The fields of one message; refuses truncated input and the wire types that proto3 does not have."""
    message: Message = {}
    at = 0
    while at < len(data):
        tag, at = _short(data, at, _MOST_TAG)
        if tag < 8:
            raise _malformed("there is no field 0")
        value: Value
        match tag & 7:
            case 0:
                value, at = _varint(data, at)
            case 1 | 5 as wire:
                raw, at = _take(data, at, 8 if wire == 1 else 4)
                value = Fixed(raw)
            case 2:
                length, at = _short(data, at, _MOST_LENGTH)
                value, at = _take(data, at, length)
            case wire:
                raise _malformed(f"wire type {wire} is not known")
        message.setdefault(tag >> 3, []).append(value)
    return message


def signed(value: int) -> int:
    """A 64-bit varint as the signed integer that it encodes."""
    return value - (1 << 64) if value >= 1 << 63 else value


def integers(message: Message, number: int) -> list[int]:
    """A repeated int64 field, packed or not."""
    values = []
    for value in message.get(number, []):
        if isinstance(value, int):
            values.append(signed(value))
            continue
        if isinstance(value, Fixed):
            raise _malformed(f"field {number} has the wrong type")
        at = 0
        while at < len(value):
            item, at = _varint(value, at)
            values.append(signed(item))
    return values


def one_bytes(message: Message, number: int) -> bytes | None:
    """A field with a length that occurs at most once."""
    values = message.get(number, [])
    if len(values) > 1 or not all(isinstance(value, bytes) for value in values):
        raise _malformed(f"field {number} occurs more than once or has the wrong type")
    return values[0] if values else None  # type: ignore[return-value]  # all are bytes: tested above


def one_integer(message: Message, number: int, default: int = 0) -> int:
    """An integer field that occurs at most once."""
    values = message.get(number, [])
    if len(values) > 1 or not all(isinstance(value, int) for value in values):
        raise _malformed(f"field {number} occurs more than once or has the wrong type")
    return signed(values[0]) if values else default  # type: ignore[arg-type]  # all are integers: tested above


def text(message: Message, number: int) -> str:
    """A string field that occurs at most once; empty where it is absent."""
    try:
        return (one_bytes(message, number) or b"").decode()
    except UnicodeDecodeError:
        raise _malformed(f"field {number} is not UTF-8 text") from None


def fixed(value: Value, kind: str) -> float:
    """A fixed-width field as the float that its bits encode; `kind` is "<f" or "<d"."""
    if not isinstance(value, Fixed) or len(value.raw) != struct.calcsize(kind):
        raise _malformed(f"a number is not stored in the {struct.calcsize(kind)} bytes of its type")
    return float(struct.unpack(kind, value.raw)[0])


def one_fixed(message: Message, number: int, kind: str) -> float:
    """A float field that occurs at most once; 0 where it is absent."""
    values = message.get(number, [])
    if len(values) > 1:
        raise _malformed(f"field {number} occurs more than once")
    return fixed(values[0], kind) if values else 0.0
