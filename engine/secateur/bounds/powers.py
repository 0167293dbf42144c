"""Powers of two and rounding to few bits, exactly, as the kernels need them.

Numba keeps compiled kernels until the file that defines them changes, and does not look at the files they call into. So each file
of kernels contains a digest of those it takes something from, which a test compares: no update leaves yesterday's code behind.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["REACH", "allocating_kernel", "copy", "exponent_of", "floor_to_bits", "kernel", "power"]

_TABLE = np.ldexp(1.0, np.arange(-1000, 1001))
_CENTRE = 1000
REACH = 960
"""Exponents beyond this make a row void: powers of two must stay normal numbers."""


def kernel(function):
    """Compile what only other kernels call: without the wrappers for Python and C, which take a fifth of the time.

    Without reference counts as well: every array belongs to whoever called the first kernel, and counting views of arrays,
    which is atomic, took more time than all arithmetic.
    """
    return njit(cache=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False)(function)


def allocating_kernel(function):
    """The same for what makes arrays, which have to be counted."""
    return njit(cache=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


@njit(cache=True, inline="always")
def power(exponent):
    """2**exponent, exactly; callers keep |exponent| within the table."""
    return _TABLE[exponent + _CENTRE]


@njit(cache=True, inline="always")
def copy(source, target, size):
    """target[:size] = source[:size], of arrays that do not overlap: an assignment of slices would ask for memory first."""
    for j in range(size):
        target[j] = source[j]


@njit(cache=True, inline="always")
def exponent_of(bits):
    """E with 2**(E-1) <= m < 2**E for a positive normal double given by its bits."""
    return (bits >> 52) - 1022


@kernel
def floor_to_bits(value, bits):
    """The largest number with `bits` significant bits not above an exact value."""
    if value == 0.0:
        return 0.0
    e = exponent_of(np.float64(abs(value)).view(np.int64))
    return np.floor(value * power(bits - e)) * power(e - bits)
