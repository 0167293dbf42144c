"""Which tensors of an ONNX graph a network is made of, where it has several of a kind or hidden values are asked for.

Such a network is a function of the elements of all its input tensors, one tensor after the other. Its outputs follow one another
in the same way, and after them the hidden values. The reader and the replay in onnxruntime go by the same wiring.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from secateur.errors import InputError

__all__ = ["Wire", "Wiring", "matched"]


@dataclass(frozen=True)
class Wire:
    """A tensor that is asked for: what the asker calls it, its number of elements, its name in the graph (None: by position)."""

    label: str
    size: int
    name: str | None = None

    def require_size(self, size: int, source: str) -> None:
        """InputError unless the graph's tensor has the expected number of elements."""
        if size != self.size:
            problem = f"the query declares {self.size} values for {self.label}, the file has {size}"
            raise InputError(problem, where=source, remedy="use the network that the query was written for")


@dataclass(frozen=True)
class Wiring:
    """All tensors of a network in the order of their elements; hidden ones have names and come after the outputs."""

    inputs: tuple[Wire, ...]
    outputs: tuple[Wire, ...]
    hidden: tuple[Wire, ...] = ()


def matched(wires: Sequence[Wire], names: Sequence[str], kind: str, source: str) -> list[str]:
    """The name of each wire's tensor among those of the graph's inputs or outputs (`kind`), each of which must be taken."""
    if len(wires) != len(names):
        declared, found = ", ".join(wire.label for wire in wires), ", ".join(names) or "none"
        problem = f"has {len(names)} {kind}s ({found}), the query declares {len(wires)} ({declared})"
        raise InputError(problem, where=source, remedy="declare every one")
    chosen = [name if wire.name is None else wire.name for wire, name in zip(wires, names, strict=True)]
    for number, (wire, name) in enumerate(zip(wires, chosen, strict=True)):
        if name not in names:
            problem = f"has no {kind} {name!r}, which the query gives for {wire.label}"
            raise InputError(problem, where=source, remedy=f"it has {', '.join(names)}")
        if name in chosen[:number]:
            raise InputError(f"the query takes {kind} {name!r} twice", where=source, remedy="name each once")
    return chosen
