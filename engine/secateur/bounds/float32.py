"""What float32 rounding may add to a layer in chain form, by column (FORMAT.md, section 11).

Requires the magnitudes that the network's reader found. Returns one number for each column, valid for all rows: the bound
propagator then charges it as it charges the error of its own integer columns, once for each row and layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from secateur.bounds.near import NearBox
from secateur.bounds.rounding import ceil_to_bits
from secateur.errors import InputError
from secateur.network.exact import ExactArray
from secateur.network.float32 import gamma
from secateur.network.model import Rounding

__all__ = ["slack_of"]

Floats = NDArray[np.float64]


def slack_of(rounding: Rounding, position: Mapping[int, int], width: int, box: NearBox) -> Floats:
    """sigma of a layer whose sources start at `position` among `width` columns; shape (width + 1,), the bias last.

    InputError where the magnitudes speak of values that the layer has no column for, because their coefficients cancel.
    """
    factor, size = gamma(rounding.count), rounding.magnitudes.size
    slack = np.zeros(width + 1)
    constants = list(rounding.magnitudes.rational_bias())
    for term in rounding.magnitudes.terms:
        matrix = term.map.dense().array()
        if term.source == 0:
            reach = [max(abs(low), abs(low + w)) for low, w in zip(box.lower, box.widths, strict=True)]
            products = matrix @ ExactArray.of_fractions(reach, (len(reach), 1))
            constants = [a + b for a, b in zip(constants, products.fractions(), strict=True)]
            continue
        largest = _column_maxima(matrix)
        if term.source not in position:
            if any(largest):
                raise InputError("coefficients cancel, which float32 claims do not cover", remedy="claim it of the reals")
            continue
        start = position[term.source]
        slack[start : start + len(largest)] = [_rounded_up(factor * m) for m in largest]
    slack[width] = _rounded_up(factor * max(constants)) if size else 0.0
    return slack


def _column_maxima(matrix: ExactArray) -> list[Fraction]:
    """The largest entry of every column; all are >= 0."""
    if matrix.rationals is None:
        return [Fraction(m) for m in matrix.floats.max(axis=0, initial=0.0).tolist()]
    columns = matrix.rationals.T.tolist()
    return [max(column, default=Fraction(0)) for column in columns]


def _rounded_up(value: Fraction) -> float:
    return float(ceil_to_bits(value))
