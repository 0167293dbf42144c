"""Operators that slide a window over an image or a signal: convolutions and poolings.

A signal (rank 3) is an image of height 1. Several images in one tensor are more channels that do not mix.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from secateur.network.exact import ExactArray
from secateur.network.linear import Conv, Dense
from secateur.network.maps import UnsupportedError, check_size
from secateur.network.operators.node import Node, Operator
from secateur.network.operators.piecewise import maximum
from secateur.network.symbolic import Lowering, Tensor, concatenated, repeated_blocks
from secateur.network.windows import Windows

__all__ = ["OPERATORS"]


def _windows(node: Node, tensor: Tensor, kernel: list[int]) -> Windows:
    axes = len(tensor.shape) - 2
    if axes not in (1, 2) or len(kernel) != axes:
        raise UnsupportedError(f"a window {kernel} over shape {list(tensor.shape)}", "only 1-D and 2-D are supported")
    spatial = list(tensor.shape[2:])
    strides = node.integers("strides") or [1] * axes
    dilations = node.integers("dilations") or [1] * axes
    pads = _pads(node, spatial, kernel, strides, dilations)
    if not len(strides) == len(dilations) == axes or len(pads) != 2 * axes:
        raise UnsupportedError(f"strides {strides}, dilations {dilations} and pads {pads} do not fit {axes} axes")
    if axes == 1:
        spatial, kernel, strides, dilations = [1, *spatial], [1, *kernel], [1, *strides], [1, *dilations]
        pads = [0, pads[0], 0, pads[1]]
    try:
        windows = Windows(_two(spatial), _two(kernel), _two(strides), (pads[0], pads[1], pads[2], pads[3]), _two(dilations))
    except ValueError as error:
        raise UnsupportedError(str(error)) from None
    check_size(math.prod(windows.out_shape), math.prod(windows.kernel))
    return windows


def _two(values: list[int]) -> tuple[int, int]:
    return values[0], values[1]


def _pads(node: Node, spatial: list[int], kernel: list[int], strides: list[int], dilations: list[int]) -> list[int]:
    """Zeros before each axis, then after each axis."""
    rule = node.text("auto_pad", "NOTSET")
    if rule == "NOTSET":
        return node.integers("pads") or [0] * (2 * len(spatial))
    if rule == "VALID":
        return [0] * (2 * len(spatial))
    totals = [
        max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0) for n, k, s, d in zip(spatial, kernel, strides, dilations, strict=True)
    ]
    small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
    return [*small, *large] if rule == "SAME_UPPER" else [*large, *small]


def _result_shape(tensor: Tensor, channels: int, windows: Windows) -> tuple[int, ...]:
    spatial = windows.out_shape if len(tensor.shape) == 4 else windows.out_shape[1:]
    return (tensor.shape[0], channels, *spatial)


def _conv(node: Node) -> Tensor:
    tensor, weight = node.required(0), node.constant(1, "kernel")
    tensor.check_type(weight)
    groups = node.integer("group", 1)
    if weight.bias.rationals is not None:
        raise UnsupportedError("a kernel whose weights are no float64 numbers", "fold the constants first")
    windows = _windows(node, tensor, list(weight.shape[2:]))
    images, channels = tensor.shape[:2]
    if channels != weight.shape[1] * groups or weight.shape[0] % groups:
        raise UnsupportedError(f"a kernel {list(weight.shape)} in {groups} groups over {channels} channels")
    kernel = np.tile(weight.bias.floats.reshape(*weight.shape[:2], *windows.kernel), (images, 1, 1, 1))
    map_ = Conv(
        kernel,
        (images * channels, *windows.in_shape),
        windows.strides,
        windows.pads,
        windows.dilations,
        images * groups,
    )
    result = tensor.mapped(map_, _result_shape(tensor, weight.shape[0], windows))
    bias = node.optional(2)
    return result if bias is None else result + bias.reshape((-1, *[1] * (len(tensor.shape) - 2)))


def _pool_windows(node: Node, tensor: Tensor) -> Windows:
    windows = _windows(node, tensor, node.integers("kernel_shape") or list(tensor.shape[2:]))
    if node.integer("ceil_mode", 0) and not windows.covers_all:
        raise UnsupportedError("ceil_mode with windows beyond the padding", "export with ceil_mode off")
    return windows


def _average_pool(node: Node) -> Tensor:
    tensor = node.required(0)
    windows = _pool_windows(node, tensor)
    images, channels = tensor.shape[:2]
    shape = _result_shape(tensor, channels, windows)
    inside = windows.table >= 0
    counts = np.full(len(inside), inside.shape[1]) if node.integer("count_include_pad", 0) else inside.sum(axis=1)
    if counts.min() == 0:
        raise UnsupportedError("the mean of a window that holds nothing but padding")
    if (counts == counts[0]).all() and int(counts[0]).bit_count() == 1:
        return tensor.mapped(_mean_conv(windows, images * channels, int(counts[0])), shape)
    row, tap = np.nonzero(inside)
    check_size(len(inside), math.prod(windows.in_shape))
    means = ExactArray.of_fractions([Fraction(1, int(counts[i])) for i in row], row.shape)
    plane = means.placed((len(inside), math.prod(windows.in_shape)), (row, windows.table[row, tap]))
    blocks = repeated_blocks(plane, images * channels)
    return tensor.mapped(Dense.of(blocks), shape)


def _mean_conv(windows: Windows, channels: int, count: int) -> Conv:
    """A mean over a power of two of cells is a convolution with exact weights."""
    kernel = np.full((channels, 1, *windows.kernel), 1 / count)
    in_shape = (channels, *windows.in_shape)
    return Conv(kernel, in_shape, windows.strides, windows.pads, windows.dilations, channels)


def _max_pool(node: Node) -> Tensor:
    tensor = node.required(0)
    windows = _pool_windows(node, tensor)
    images, channels = tensor.shape[:2]
    area = math.prod(windows.in_shape)
    planes = (np.arange(images * channels) * area).tolist()
    cells = [[j for j in window if j >= 0] for window in windows.table.tolist()]
    if not all(cells):
        raise UnsupportedError("the maximum of a window that holds nothing but padding")
    groups = [[first + j for j in window] for first in planes for window in cells]
    winners = _tournament(node.lowering, tensor.reshape((-1,)), groups)
    return winners.reshape(_result_shape(tensor, channels, windows))


def _tournament(lowering: Lowering, values: Tensor, groups: list[list[int]]) -> Tensor:
    """The maximum of each group of elements: one ReLU layer per round, logarithmically many rounds."""
    while max(map(len, groups)) > 1:
        left = [j for group in groups for j in group[0 : len(group) // 2 * 2 : 2]]
        right = [j for group in groups for j in group[1::2]]
        waiting = [group[-1] for group in groups if len(group) % 2]
        winners = maximum(lowering, values.take(np.array(left)), values.take(np.array(right)))
        values = concatenated([winners, values.take(np.array(waiting, dtype=np.intp))], 0)
        groups = _next_round(groups, len(left))
    return values.take(np.array([group[0] for group in groups]))


def _next_round(groups: list[list[int]], winner_count: int) -> list[list[int]]:
    """The groups in the new numbering: winners of all pairs first, then the odd ones that wait."""
    result, winner, waiting = [], 0, winner_count
    for group in groups:
        pairs = len(group) // 2
        odd = len(group) % 2
        result.append([*range(winner, winner + pairs), *range(waiting, waiting + odd)])
        winner, waiting = winner + pairs, waiting + odd
    return result


OPERATORS: dict[str, Operator] = {
    "AveragePool": _average_pool,
    "Conv": _conv,
    "GlobalAveragePool": _average_pool,
    "MaxPool": _max_pool,
}
