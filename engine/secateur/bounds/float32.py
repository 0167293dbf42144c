"""What float32 rounding may add to a layer in chain form, neuron by neuron (FORMAT.md, section 11).

Requires the magnitudes that the network's reader found. Returns the matrix sigma: a float32 evaluation of neuron i is off by at
most sum_j sigma_ij r_j + sigma_i,bias. Interval bounds charge that as it is, backward rows one number for each neuron and
sub-domain (slack.py). Method: doubles settle nearly all entries, because 24 of their 53 bits are wanted; fractions the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from secateur.bounds.near import NearBox
from secateur.bounds.rounding import BITS, ceil_to_bits
from secateur.errors import InputError
from secateur.network.affine_rows import add_block, bias_column
from secateur.network.exact import ExactArray
from secateur.network.float32 import gamma
from secateur.network.model import Rounding

__all__ = ["slack_of"]

Floats = NDArray[np.float64]

_LEAST_CONSTANT = 2.0**-100
"""Bounds of a neuron with a row of zeros, which only underflow can change, have to be float32 numbers of 24 bits, too."""
_LEAST = 2.0**-600
"""Smaller entries are refused: the kernels' products with them would leave the range of normal doubles."""


def slack_of(rounding: Rounding, position: Mapping[int, int], width: int, box: NearBox) -> Floats:
    """sigma of a layer whose sources start at `position` among `width` columns; shape (own neurons, width + 1), the bias last.

    InputError where the magnitudes speak of values that the layer has no column for, because their coefficients cancel, and
    where an entry is outside the range of the kernels.
    """
    factor, blocks = gamma(rounding.count), dict[int, ExactArray]()
    for term in rounding.magnitudes.terms:
        add_block(blocks, term.source, term.map.dense().array())
    constants = bias_column(rounding.magnitudes)
    slack = np.zeros((rounding.magnitudes.size, width + 1))
    for source, matrix in blocks.items():
        if source == 0:
            reach = [max(abs(low), abs(low + w)) for low, w in zip(box.lower, box.widths, strict=True)]
            constants = constants + matrix @ ExactArray.of_fractions(reach, (len(reach), 1))
        elif source in position:
            start = position[source]
            slack[:, start : start + matrix.shape[1]] = _scaled_up(factor, matrix)
        elif not matrix.is_zero:
            raise InputError("coefficients cancel, which float32 claims do not cover", remedy="claim it of the reals")
    slack[:, width:] = _scaled_up(factor, constants)
    if rounding.count:
        slack[:, width] = np.maximum(slack[:, width], _LEAST_CONSTANT)
    if ((slack > 0.0) & (slack < _LEAST)).any():
        raise InputError(
            "weights are too small for float32 claims", remedy="rescale the network's layers, or claim it of the reals"
        )
    return slack


def _scaled_up(factor: Fraction, matrix: ExactArray) -> Floats:
    """factor times a matrix of numbers >= 0, rounded up to 24 bits; 0 <= factor <= 1."""
    values = matrix.floats * float(factor)
    units = np.ldexp(1.0, np.frexp(values)[1] - BITS)
    rounded: Floats = np.ceil(values / units) * units
    above = rounded - values  # exact, and so is the way to the next number of 24 bits
    errors = values * 2.0**-50  # three roundings, eight times
    doubtful = (above <= errors) | (units - above <= errors) | (values < _LEAST)
    if matrix.rationals is None:
        doubtful &= matrix.floats > 0.0
    for i, j in np.argwhere(doubtful).tolist():
        exact = ceil_to_bits(factor * matrix.entry(i, j))
        # Below the range of doubles: any number that is refused later.
        rounded[i, j] = max(float(exact), float(np.nextafter(0.0, 1.0))) if exact else 0.0
    return rounded
