"""Integer columns of a matrix, against their definition in fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.bounds.columns import columns_of
from secateur.bounds.near import Near
from secateur.errors import InputError
from secateur.network.exact import ExactArray

entries = st.one_of(
    st.floats(-1e6, 1e6, width=32, allow_subnormal=False).map(Fraction),
    st.fractions(min_value=-9, max_value=9, max_denominator=1000),
    st.sampled_from([Fraction(0), Fraction(1), Fraction(1 << 26), Fraction(3, 2**30), Fraction(-1, 2**28)]),
)


@settings(deadline=None)
@given(st.integers(0, 4), st.integers(1, 10), st.data())
def test_entries_are_rounded_to_nearest_half_to_even(height: int, width: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(entries, min_size=height * width, max_size=height * width))
    array = ExactArray.of_fractions(values, (height, width))
    columns = columns_of(Near.of(array), array.entry)
    assert columns.stride % 8 == 0
    padded = columns.integers.reshape(height, columns.stride)
    assert not padded[:, width:].any()
    assert (padded[:, :width] == columns.turned.reshape(width, height).T).all()
    for j in range(width):
        column, power = values[j::width], Fraction(2) ** int(columns.exponents[j])
        norm = sum(map(abs, column), Fraction(0))
        assert norm == 0 or 2**26 <= norm * power < 2**27
        assert padded[:, j].tolist() == [round(v * power) for v in column]
        exact = all((v * power).denominator == 1 for v in column)
        assert Fraction(columns.deltas[j]) == (0 if exact else 1 / (2 * power))
        assert Fraction(columns.scales[j]) == 1 / power


def test_weights_of_absurd_magnitude_are_refused() -> None:
    with pytest.raises(InputError, match=r"weights of magnitude 2\*\*1000 are outside the supported range"):
        columns_of(Near(np.array([[2.0**999]]), None), ExactArray(np.array([[2.0**999]])).entry)
