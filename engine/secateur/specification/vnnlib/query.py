"""A VNN-LIB query: declared networks and asserted conditions, over the reals.

Variables are numbered by kind over all networks: input 3 is the fourth input element in order of declaration,
whichever tensor and network it belongs to. `TensorDeclaration.offset` says where a tensor's elements begin.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from secateur.network.wiring import Wire, Wiring
from secateur.specification.domain import Domain
from secateur.specification.vnnlib.formula import Formula, Kind, Polytope, Variable, holds
from secateur.specification.vnnlib.input_part import input_box
from secateur.specification.vnnlib.normal_form import conjunctions

__all__ = ["NetworkDeclaration", "Query", "TensorDeclaration"]


@dataclass(frozen=True)
class TensorDeclaration:
    """A declared tensor of inputs, hidden values or outputs.

    `shape` is () for a scalar; elements are numbered row-major from `offset`, among all variables of this
    kind. `onnx_name` is the tensor's name in the ONNX file where the query gives it (always for hidden ones).
    """

    name: str
    kind: Kind
    element_type: str
    shape: tuple[int, ...]
    offset: int
    onnx_name: str | None = None

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def element_name(self, position: int) -> str:
        """How a query of version 2.0 writes the element at a flat position: `X`, or `X[0,2]`."""
        if not self.shape:
            return self.name
        indices = []
        for extent in reversed(self.shape):
            position, index = divmod(position, extent)
            indices.append(str(index))
        return f"{self.name}[{','.join(reversed(indices))}]"


@dataclass(frozen=True)
class NetworkDeclaration:
    """The interface of a network: its tensors in order of declaration, and the network it is declared alike.

    `equal_to` names a network with the same structure and weights, `isomorphic_to` one with the same
    structure.
    """

    name: str
    inputs: tuple[TensorDeclaration, ...]
    hidden: tuple[TensorDeclaration, ...]
    outputs: tuple[TensorDeclaration, ...]
    equal_to: str | None = None
    isomorphic_to: str | None = None

    def tensors(self, kind: Kind) -> tuple[TensorDeclaration, ...]:
        """The tensors of one kind, in order."""
        return (self.inputs, self.hidden, self.outputs)[kind]

    def size(self, kind: Kind) -> int:
        """Number of scalars of one kind."""
        return sum(tensor.size for tensor in self.tensors(kind))

    @property
    def wiring(self) -> Wiring | None:
        """The tensors of the ONNX file; None where one input and one output without names say it all."""
        inputs, hidden, outputs = (tuple(Wire(t.name, t.size, t.onnx_name) for t in self.tensors(kind)) for kind in Kind)
        if len(inputs) == len(outputs) == 1 and not hidden and inputs[0].name is None:
            return None
        return Wiring(inputs, outputs, hidden)


@dataclass(frozen=True)
class Query:
    """Is there a point where all assertions are true? Usually an input box and the negation of a claim.

    `version` is "1.0" or "2.0"; a 1.0 query declares one network, called `N`, with tensors `X` and `Y`.
    `source` is the file, for messages.
    """

    version: str
    networks: tuple[NetworkDeclaration, ...]
    assertions: tuple[Formula, ...]
    source: str = ""

    def count(self, kind: Kind) -> int:
        """Number of scalars of one kind, over all networks."""
        return sum(network.size(kind) for network in self.networks)

    @property
    def input_count(self) -> int:
        return self.count(Kind.INPUT)

    @property
    def output_count(self) -> int:
        return self.count(Kind.OUTPUT)

    def name(self, variable: Variable) -> str:
        """The variable as the file writes it: `X_3`, or `X[0,3]`."""
        tensors = (t for network in self.networks for t in network.tensors(variable.kind))
        tensor = next(t for t in tensors if t.offset <= variable.position < t.offset + t.size)
        if self.version == "1.0":
            return f"{tensor.name}_{variable.position}"
        return tensor.element_name(variable.position - tensor.offset)

    def satisfied_by(self, inputs: Sequence[Fraction], outputs: Sequence[Fraction], hidden: Sequence[Fraction] = ()) -> bool:
        """Whether the exact point makes every assertion true (it says nothing of the networks)."""
        return all(holds(assertion, (inputs, hidden, outputs)) for assertion in self.assertions)

    def disjuncts(self) -> Iterator[Polytope]:
        """The query as a union of polytopes, one at a time, in the order of the file.

        A disjunct whose input bounds already contradict each other is left out; no polytope at all means that
        no point satisfies the query. Memory stays that of the query plus one polytope, whatever their number.
        """
        return conjunctions(self.assertions, self.input_count)

    def input_box(self) -> Domain:
        """The one closed box that the conditions on inputs alone describe.

        Conditions that mention outputs or hidden values are no part of it. In a query about several networks
        that all get the same input, asserted coordinate by coordinate, it is the box of the first network.
        Raises `InputError` for a missing bound, a contradiction, a union of different boxes, a strict bound,
        or another linear condition.
        """
        return input_box(self)
