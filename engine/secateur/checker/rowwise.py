"""Whether a network of open batch treats the rows of a batch alike, and each alone (section 10).

A claim is about one input. Programs evaluate many at once, along the first axis of the graph's input: where that axis is
open, every operator must keep the rows apart, or a row of a batch would get an output that no claim is about.
"""

from __future__ import annotations

from collections.abc import Callable

from secateur.checker.lowering import Network, lower_graph
from secateur.checker.onnx_model import Node, read_model
from secateur.checker.tensors import Tensor

__all__ = ["lower_rowwise"]

_Test = Callable[[Node, list[Tensor]], bool]


def _elementwise(_: Node, operands: list[Tensor]) -> bool:
    """All variable operands have the same shape; constants have none of the batch's axis, or length 1 there."""
    shapes = {tensor.shape for tensor in operands if not tensor.constant}
    rank = max(map(len, shapes))
    constants = [tensor.shape for tensor in operands if tensor.constant]
    return len(shapes) == 1 and all(len(shape) < rank or (len(shape) == rank and shape[0] == 1) for shape in constants)


def _first_variable(_: Node, operands: list[Tensor]) -> bool:
    """The rows are those of the first operand, with at least an axis beside theirs."""
    return len(operands[0].shape) > 1 and all(tensor.constant for tensor in operands[1:])


def _gemm(node: Node, operands: list[Tensor]) -> bool:
    return not node.integer("transA", 0) and _first_variable(node, operands)


def _flatten(node: Node, _: list[Tensor]) -> bool:
    return node.integer("axis", 1) == 1


def _reshape(node: Node, operands: list[Tensor]) -> bool:
    """The first axis is kept, or is what is left once all others have their lengths."""
    target = operands[1].integers()
    kept = target[:1] == [-1] or (target[:1] == [0] and not node.integer("allowzero", 0))
    return kept and len(operands[0].shape) > 1 and all(size > 0 for size in target[1:])


def _concat(node: Node, operands: list[Tensor]) -> bool:
    axis, rank = node.integer("axis", 0), len(operands[0].shape)
    return axis % rank != 0 and not any(tensor.constant for tensor in operands)


_TESTS: dict[str, _Test] = {
    "Add": _elementwise,
    "Concat": _concat,
    "Conv": _first_variable,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "Identity": lambda _, __: True,
    "MatMul": _first_variable,
    "Mul": _elementwise,
    "Relu": lambda _, __: True,
    "Reshape": _reshape,
    "Sub": _elementwise,
}


def _kept_apart(node: Node, operands: list[Tensor], results: list[Tensor]) -> list[Tensor]:
    """The results, of an operator that keeps rows apart; those of constants are no rows."""
    if all(tensor.constant for tensor in operands):
        return results
    test = _TESTS.get(node.operator)
    if test is None or not test(node, operands) or any(tensor.shape[:1] != (1,) for tensor in results):
        raise node.refusal("the batch is open, and rows of a batch might not be kept apart")
    return results


def lower_rowwise(data: bytes) -> tuple[Network, int]:
    """The network of a file as `lower` gives it, which keeps rows apart if its batch is open, and its ONNX element type."""
    graph = read_model(data)
    is_open = graph.input.shape[:1] == (None,)
    return lower_graph(graph, _kept_apart) if is_open else lower_graph(graph), graph.input.element_type
