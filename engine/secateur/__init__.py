"""Secateur proves which neurons a piecewise-linear network does not need, removes them, and certifies the result.

    import secateur
    result = secateur.prune("net.onnx", "domain.json", out="pruned")
    secateur.check("pruned")

Names are loaded when they are first used: the checker (`python -m secateur.checker`) lives in this package and must
run where numpy and onnx are not installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from secateur.api import PruneResult, prune, warmup
    from secateur.checker import Accepted, Refused, check
    from secateur.errors import InputError
    from secateur.network import Network, read_onnx
    from secateur.search import Basis, NeuronStatus, PhaseResult, Status
    from secateur.specification import Domain, read_domain

    __version__: str

__all__ = [
    "Accepted",
    "Basis",
    "Domain",
    "InputError",
    "Network",
    "NeuronStatus",
    "PhaseResult",
    "PruneResult",
    "Refused",
    "Status",
    "__version__",
    "check",
    "prune",
    "read_domain",
    "read_onnx",
    "warmup",
]

_HOMES = {
    "Accepted": "checker",
    "Basis": "search",
    "Domain": "specification",
    "InputError": "errors",
    "Network": "network",
    "NeuronStatus": "search",
    "PhaseResult": "search",
    "PruneResult": "api",
    "Refused": "checker",
    "Status": "search",
    "check": "checker",
    "prune": "api",
    "warmup": "api",
    "read_domain": "specification",
    "read_onnx": "network",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "__version__":
        value: object = import_module("secateur.version").version()
    elif name in _HOMES:
        value = getattr(import_module(f"secateur.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
