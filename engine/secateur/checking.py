"""`secateur.check`: the checker, with the errors of the rest of the package, of which it knows nothing itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from secateur.checker import CheckInputError
from secateur.checker import check as check_certificate
from secateur.errors import InputError

__all__ = ["check"]

P = ParamSpec("P")
T = TypeVar("T")


def _with_one_error(function: Callable[P, T]) -> Callable[P, T]:
    """The function, with InputError for bad input."""

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except CheckInputError as error:
            raise InputError(str(error)) from None

    called.__doc__ = (function.__doc__ or "").replace("CheckInputError", "InputError")
    return called


check = _with_one_error(check_certificate)
