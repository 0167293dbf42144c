"""From an ONNX graph to ReLU layers whose pre-activations are exact affine functions of earlier ones.

Symbols number everything that an expression can contain: 0 is the constant 1, then come the inputs, then the neurons
of the ReLU layers in the order in which their Relu nodes stand in the file. Operators that are not listed in
`OPERATORS` are refused.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import product
from struct import calcsize

from secateur.checker.onnx_model import Graph, Node, TensorData, exact_floats, read_model
from secateur.checker.refusal import Refusal
from secateur.checker.tensors import (
    FLOAT_TYPES,
    Expression,
    Tensor,
    add,
    broadcast,
    combined,
    concatenate,
    expressions,
    fits,
    float_type,
    linear_combination,
    matrix_product,
    multiply,
    reciprocal,
    reshaped,
    scalar,
    scaled,
    select,
    strides,
    transposed,
)

__all__ = ["Affine", "Network", "lower", "lower_graph", "needed"]

FLOAT, INT64 = 1, 7  # ONNX element types


@dataclass(frozen=True)
class Affine:
    """Affine expressions in symbols: row i has the value sum rows[i][s] s / denominator."""

    denominator: int
    rows: list[Expression]


@dataclass(frozen=True)
class Network:
    """ReLU layers and outputs. `starts[s]` is the first symbol of source s (0: the input, k: layer k)."""

    input_size: int
    starts: tuple[int, ...]
    layers: tuple[Affine, ...]
    output: Affine

    def size(self, source: int) -> int:
        return self.input_size if source == 0 else len(self.layers[source - 1].rows)

    def source(self, symbol: int) -> int:
        """The source that a symbol other than 0 belongs to."""
        return bisect_right(self.starts, symbol) - 1


@dataclass
class _Builder:
    """What is known while the nodes are read in order."""

    graph: Graph
    starts: list[int]
    next_symbol: int
    values: dict[str, Tensor] = field(default_factory=dict)
    layers: list[Affine] = field(default_factory=list)


After = Callable[[Node, list[Tensor], list[Tensor]], list[Tensor]]  # a node, its operands and its results; the results to use
_Operator = Callable[[_Builder, Node, list[Tensor]], list[Tensor]]


def _constant(data: TensorData) -> Tensor:
    return Tensor(data.shape, data.denominator, data.values, True, data.element_type)


def _symbols(shape: tuple[int, ...], first: int, element_type: int) -> Tensor:
    return Tensor(shape, 1, [{first + i: 1} for i in range(math.prod(shape))], False, element_type)


def _axis(node: Node, axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise node.refusal(f"axis {axis} does not exist in a tensor of {rank} axes")
    return axis % rank


def _listed(node: Node, inputs: list[Tensor], name: str, position: int) -> list[int] | None:
    """Integers that older operator sets give as an attribute and newer ones as an input."""
    given = len(inputs) > position and node.inputs[position]
    if given and name in node.attributes:
        raise node.refusal(f"{name} is given twice, as an attribute and as an input")
    return inputs[position].integers() if given else node.integers(name)


def _relu(builder: _Builder, node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """A new layer; of a constant, which no input can change, max(0, constant) and no layer."""
    (tensor,) = inputs
    element_type = float_type(tensor)
    if tensor.constant:
        return [replace(tensor, cells=[max(0, cell) for cell in tensor.cells if isinstance(cell, int)])]
    if not tensor.cells:
        raise node.refusal("a layer without neurons is not supported")
    result = _symbols(tensor.shape, builder.next_symbol, element_type)
    builder.layers.append(Affine(tensor.denominator, expressions(tensor)))
    builder.starts.append(builder.next_symbol)
    builder.next_symbol += len(result.cells)
    return [result]


def _gemm(_: _Builder, node: Node, inputs: list[Tensor]) -> list[Tensor]:
    left, right = (transposed(t, [1, 0]) if node.integer(name, 0) else t for t, name in
                   zip(inputs, ("transA", "transB"), strict=False))  # fmt: skip
    total = scaled(matrix_product(left, right), *node.number("alpha", 1.0))
    if len(inputs) > 2:
        bias = scaled(inputs[2], *node.number("beta", 1.0))
        total = add(total, broadcast(bias, total.shape))
    return [total]


def _matmul(_: _Builder, node: Node, inputs: list[Tensor]) -> list[Tensor]:
    left, right = inputs
    if not left.shape or not right.shape or len(right.shape) > 2:
        raise node.refusal("only products with a vector or a matrix on the right are supported")
    rows, k = left.shape[:-1], left.shape[-1]
    columns = right.shape[1:]
    flat = matrix_product(
        reshaped(left, (math.prod(rows), k)),
        reshaped(right, (right.shape[0], math.prod(columns))),
    )
    return [reshaped(flat, (*rows, *columns))]


def _transpose(_: _Builder, node: Node, inputs: list[Tensor]) -> list[Tensor]:
    (tensor,) = inputs
    order = node.integers("perm")
    return [transposed(tensor, list(range(len(tensor.shape)))[::-1] if order is None else order)]


def _reshape(_: _Builder, node: Node, inputs: list[Tensor]) -> list[Tensor]:
    tensor = inputs[0]
    target = _listed(node, inputs, "shape", 1)
    if target is None or target.count(-1) > 1 or min(target, default=0) < -1:
        raise node.refusal("the target shape is malformed")
    keep = not node.integer("allowzero", 0)
    if keep and any(size == 0 and i >= len(tensor.shape) for i, size in enumerate(target)):
        raise node.refusal("the target shape copies an axis that does not exist")
    shape = [tensor.shape[i] if size == 0 and keep else size for i, size in enumerate(target)]
    known = math.prod(size for size in shape if size != -1)
    free = len(tensor.cells) // known if known else 0
    return [reshaped(tensor, tuple(free if size == -1 else size for size in shape))]


def _flatten(_: _Builder, node: Node, inputs: list[Tensor]) -> list[Tensor]:
    (tensor,) = inputs
    rank = len(tensor.shape)
    axis = node.integer("axis", 1)
    axis = rank if axis == rank else _axis(node, axis, rank)
    return [reshaped(tensor, (math.prod(tensor.shape[:axis]), math.prod(tensor.shape[axis:])))]


def _squeeze(_: _Builder, node: Node, inputs: list[Tensor]) -> list[Tensor]:
    shape = inputs[0].shape
    axes = _listed(node, inputs, "axes", 1)
    if axes == []:
        raise node.refusal("an empty list of axes means none to some programs and all to others")
    chosen = [i for i, n in enumerate(shape) if n == 1] if axes is None else axes
    dropped = {_axis(node, axis, len(shape)) for axis in chosen}
    return [reshaped(inputs[0], tuple(n for i, n in enumerate(shape) if i not in dropped))]


def _unsqueeze(_: _Builder, node: Node, inputs: list[Tensor]) -> list[Tensor]:
    axes = _listed(node, inputs, "axes", 1) or []
    rank = len(inputs[0].shape) + len(axes)
    added, sizes = {_axis(node, axis, rank) for axis in axes}, iter(inputs[0].shape)
    if len(added) != len(axes):
        raise node.refusal("an axis occurs twice")
    return [reshaped(inputs[0], tuple(1 if i in added else next(sizes) for i in range(rank)))]


def _concat(_: _Builder, node: Node, inputs: list[Tensor]) -> list[Tensor]:
    if len({len(tensor.shape) for tensor in inputs}) != 1:
        raise node.refusal("the parts have different numbers of axes")
    return [concatenate(inputs, _axis(node, node.integer("axis", 0), len(inputs[0].shape)))]


def _slice(_: _Builder, node: Node, inputs: list[Tensor]) -> list[Tensor]:
    tensor, rank = inputs[0], len(inputs[0].shape)
    starts, ends = _listed(node, inputs, "starts", 1), _listed(node, inputs, "ends", 2)
    if starts is None or ends is None:
        raise node.refusal("the start or end of the slice is missing")
    axes = _listed(node, inputs, "axes", 3) or list(range(len(starts)))
    steps = (inputs[4].integers() if len(inputs) > 4 else None) or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise node.refusal("the slice is malformed")
    chosen = {}
    for start, end, given, step in zip(starts, ends, axes, steps, strict=True):
        axis = _axis(node, given, rank)
        size = tensor.shape[axis]
        if step < 0 and (start < -size or end >= size):
            raise node.refusal("programs differ in what it means to go backwards from, or to, a place beyond the ends")
        chosen[axis] = list(range(size))[slice(start, end, step)]
        if step < 0 and end < -size:  # ONNX clamps to "before the first"
            chosen[axis] = list(range(size))[slice(start, None, step)]
    return [select(tensor, chosen)]


def _split(_: _Builder, node: Node, inputs: list[Tensor]) -> list[Tensor]:
    tensor = inputs[0]
    axis = _axis(node, node.integer("axis", 0), len(tensor.shape))
    size, parts = tensor.shape[axis], len(node.outputs)
    each = -(-size // parts)
    sizes = _listed(node, inputs, "split", 1) or [min(each, size - each * i) for i in range(parts)]
    if sum(sizes) != size or len(sizes) != parts or min(sizes) < 0:
        raise node.refusal("the parts of the split do not add up")
    starts = [sum(sizes[:i]) for i in range(parts)]
    return [select(tensor, {axis: list(range(a, a + n))}) for a, n in zip(starts, sizes, strict=True)]


def _gather(_: _Builder, node: Node, inputs: list[Tensor]) -> list[Tensor]:
    tensor, indices = inputs
    axis = _axis(node, node.integer("axis", 0), len(tensor.shape))
    chosen = [_axis(node, index, tensor.shape[axis]) for index in indices.integers()]
    flat = select(tensor, {axis: chosen})
    return [reshaped(flat, tensor.shape[:axis] + indices.shape + tensor.shape[axis + 1 :])]


def _cast(_: _Builder, node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """A cast that changes no value: constants that the new type has, other tensors to a wider type."""
    (tensor,), target = inputs, node.integer("to", 0)
    if target not in FLOAT_TYPES or tensor.element_type not in FLOAT_TYPES:
        raise node.refusal("only casts between float types are supported")
    if tensor.constant:
        if not fits(tensor, target):
            raise node.refusal("the cast would round a constant")
    elif calcsize(FLOAT_TYPES[target]) < calcsize(FLOAT_TYPES[tensor.element_type]):
        raise node.refusal("a cast to a narrower type rounds")
    return [replace(tensor, element_type=target)]


def _dropout(_: _Builder, node: Node, inputs: list[Tensor]) -> list[Tensor]:
    if len(inputs) > 2 and any(inputs[2].cells):
        raise node.refusal("dropout in training mode is not supported")
    return inputs[:1]


def _constant_node(_: _Builder, node: Node, __: list[Tensor]) -> list[Tensor]:
    tensor, floats, whole = node.tensor("value"), node.floats("value_floats"), node.integers("value_ints")
    if len(node.attributes) != 1:
        raise node.refusal("a constant needs exactly one value")
    if tensor is not None:
        return [_constant(tensor)]
    if floats is not None:
        denominator, values = exact_floats(floats, "value_floats")
        return [Tensor((len(values),), denominator, values, True, FLOAT)]
    if whole is not None:
        return [Tensor((len(whole),), 1, whole, True, INT64)]
    if "value_int" in node.attributes:
        return [scalar(node.integer("value_int", 0), 1, INT64)]
    if "value_float" in node.attributes:
        return [scalar(*node.number("value_float", 0.0), FLOAT)]
    raise node.refusal("the constant has no value of a supported kind")


def _window(node: Node, rank: int, kernel: tuple[int, ...]) -> tuple[list[int], list[int], list[int]]:
    """Strides, dilations and pads of a convolution."""
    steps, dilations = node.integers("strides") or [1] * rank, node.integers("dilations") or [1] * rank
    pads, automatic = node.integers("pads") or [0] * (2 * rank), node.text("auto_pad", "NOTSET")
    if automatic not in ("NOTSET", "VALID") or (automatic == "VALID" and any(pads)):
        raise node.refusal(f"automatic padding {automatic} is not supported")
    if not len(steps) == len(dilations) == rank or len(pads) != 2 * rank or min(*steps, *dilations) < 1 or min(pads) < 0:
        raise node.refusal("strides, dilations or pads are malformed")
    if (node.integers("kernel_shape") or list(kernel)) != list(kernel):
        raise node.refusal("the kernel shape differs from the weights")
    return steps, dilations, pads


def _conv(_: _Builder, node: Node, inputs: list[Tensor]) -> list[Tensor]:
    """A convolution, element by element: each output is a sparse combination of inputs."""
    data, weights = inputs[:2]
    float_type(*inputs)
    rank, groups = len(data.shape) - 2, node.integer("group", 1)
    if rank < 1 or not weights.constant or len(weights.shape) != rank + 2 or groups < 1:
        raise node.refusal("only convolutions with constant weights are supported")
    (batch, channels, *space), (filters, depth, *kernel) = data.shape, weights.shape
    if channels != depth * groups or filters % groups:
        raise node.refusal("the channels do not fit the weights")
    steps, dilations, pads = _window(node, rank, tuple(kernel))
    sizes = [(space[a] + pads[a] + pads[a + rank] - dilations[a] * (kernel[a] - 1) - 1) // steps[a] + 1
             for a in range(rank)]  # fmt: skip
    if min(sizes) < 1:
        raise node.refusal("the kernel is larger than the padded input")
    cells, rows, inner = [], expressions(data), strides(space)
    offsets, area, values = list(product(*map(range, kernel))), math.prod(space), weights.cells
    for image, target in product(range(batch), range(filters)):
        first = image * channels + target // (filters // groups) * depth
        for place in product(*map(range, sizes)):
            pairs = []
            for number, offset in enumerate(offsets):
                at = [place[a] * steps[a] + offset[a] * dilations[a] - pads[a] for a in range(rank)]
                if all(0 <= x < n for x, n in zip(at, space, strict=True)):
                    spot = sum(x * s for x, s in zip(at, inner, strict=True))
                    for c in range(depth):
                        weight = values[(target * depth + c) * len(offsets) + number]
                        pairs.append((weight, rows[(first + c) * area + spot]))
            cells.append(linear_combination(pairs))  # type: ignore[arg-type]  # the weights are integers
    denominator = data.denominator * weights.denominator
    result = combined((data, weights), (batch, filters, *sizes), denominator, cells, data.constant)
    if len(inputs) < 3:
        return [result]
    return [add(result, reshaped(inputs[2], (filters,) + (1,) * rank))]


OPERATORS: dict[str, tuple[_Operator, int, int]] = {  # with the least and greatest number of inputs
    "Add": (lambda _, __, x: [add(x[0], x[1])], 2, 2),
    "Cast": (_cast, 1, 1),
    "Concat": (_concat, 1, 1 << 16),
    "Constant": (_constant_node, 0, 0),
    "Conv": (_conv, 2, 3),
    "Div": (lambda _, __, x: [multiply(x[0], reciprocal(x[1]))], 2, 2),
    "Dropout": (_dropout, 1, 3),
    "Flatten": (_flatten, 1, 1),
    "Gather": (_gather, 2, 2),
    "Gemm": (_gemm, 2, 3),
    "Identity": (lambda _, __, x: x, 1, 1),
    "MatMul": (_matmul, 2, 2),
    "Mul": (lambda _, __, x: [multiply(x[0], x[1])], 2, 2),
    "Neg": (lambda _, __, x: [scaled(x[0], -1, 1)], 1, 1),
    "Relu": (_relu, 1, 1),
    "Reshape": (_reshape, 1, 2),
    "Slice": (_slice, 1, 5),
    "Split": (_split, 1, 2),
    "Squeeze": (_squeeze, 1, 2),
    "Sub": (lambda _, __, x: [add(x[0], x[1], sign=-1)], 2, 2),
    "Transpose": (_transpose, 1, 1),
    "Unsqueeze": (_unsqueeze, 1, 2),
}


def _run(builder: _Builder, node: Node, after: After) -> None:
    if node.domain not in ("", "ai.onnx") or node.operator not in OPERATORS:
        raise node.refusal("unsupported operator")
    operator, least, most = OPERATORS[node.operator]
    given = list(node.inputs)
    while given and not given[-1]:
        given.pop()  # absent optional inputs at the end
    if not least <= len(given) <= most or not node.outputs:
        raise node.refusal(f"{len(given)} inputs do not fit this operator")
    missing = [name for name in given if name not in builder.values]
    if missing:
        raise node.refusal(f"its input {missing[0]!r} has not been computed before it")
    operands = [builder.values[name] for name in given]
    results = after(node, operands, operator(builder, node, operands))
    for name, result in zip(node.outputs, results, strict=False):
        if name in builder.values:
            raise node.refusal(f"its output {name!r} exists already")
        builder.values[name] = result


def needed(graph: Graph) -> list[Node]:
    """The nodes that the output depends on, in the order of the file."""
    wanted, nodes = {graph.output.name}, []
    for node in reversed(graph.nodes):
        if wanted.intersection(node.outputs):
            wanted.update(node.inputs)
            nodes.append(node)
    return nodes[::-1]


def _as_they_are(_: Node, __: list[Tensor], results: list[Tensor]) -> list[Tensor]:
    return results


def lower(data: bytes) -> Network:
    """The layered exact form of the network in the bytes of an ONNX file; a batch of open size is one sample."""
    return lower_graph(read_model(data))


def lower_graph(graph: Graph, after: After = _as_they_are) -> Network:
    """The layered exact form of a graph; `after` sees every node that the output depends on, and may change its results."""
    if None in graph.input.shape[1:]:
        raise Refusal("onnx", "graph", "the input has a free size other than the batch")
    shape = tuple(1 if size is None else size for size in graph.input.shape)
    size = math.prod(shape)
    if not 0 < size < 1 << 16 or min(shape, default=1) < 1:
        raise Refusal("onnx", "graph", f"an input of shape {list(shape)} is not supported")
    builder = _Builder(graph, [1], 1 + size, {name: _constant(t) for name, t in graph.constants.items()})
    builder.values[graph.input.name] = _symbols(shape, 1, graph.input.element_type)
    try:
        for node in needed(graph):
            _run(builder, node, after)
    except (ValueError, IndexError) as error:  # a shape that no rule above foresaw
        raise Refusal("onnx", "graph", f"malformed operator: {error}") from None
    output = builder.values.get(graph.output.name)
    if output is None:
        raise Refusal("onnx", "graph", f"the output {graph.output.name!r} is never computed")
    if output.element_type != graph.output.element_type:
        raise Refusal("onnx", "graph", f"the output {graph.output.name!r} is not of the type that the file declares")
    last = Affine(output.denominator, expressions(output))
    return Network(size, tuple(builder.starts), tuple(builder.layers), last)
