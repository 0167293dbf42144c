"""Secateur proves which neurons a piecewise-linear network does not need, removes them, and certifies the result.

    import secateur
    result = secateur.prune("net.onnx", "domain.json", out="pruned")
    secateur.check("pruned")

Names are loaded when they are first used: the checker (`python -m secateur.checker`) lives in this package and must
run where numpy and onnx are not installed.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from secateur.api import PruneResult, prune, warmup
    from secateur.checker import Accepted, Refused
    from secateur.checking import check
    from secateur.errors import InputError
    from secateur.exporting import Exported, export
    from secateur.family import Family
    from secateur.network import Network, read_onnx
    from secateur.neurons import redundancy
    from secateur.oracle import Engine, bounds, distance, equivalent, verify
    from secateur.reduction.redundancy import Redundancy
    from secateur.reduction.redundancy_claim import RedundancyClaim
    from secateur.search import Basis, Distance, Holds, NeuronStatus, OutputBounds, PhaseResult, Status, Unknown, Violated
    from secateur.slicing import FamilyResult, slice_network
    from secateur.specification import Box, Domain, Specification, outputs, read_domain, robust
    from secateur.specification.comparison import Decision

    __version__: str

__all__ = [
    "Accepted",
    "Basis",
    "Box",
    "Decision",
    "Distance",
    "Domain",
    "Engine",
    "Exported",
    "Family",
    "FamilyResult",
    "Holds",
    "InputError",
    "Network",
    "NeuronStatus",
    "OutputBounds",
    "PhaseResult",
    "PruneResult",
    "Redundancy",
    "RedundancyClaim",
    "Refused",
    "Specification",
    "Status",
    "Unknown",
    "Violated",
    "__version__",
    "bounds",
    "check",
    "distance",
    "equivalent",
    "export",
    "outputs",
    "prune",
    "read_domain",
    "read_onnx",
    "redundancy",
    "robust",
    "slice_network",
    "verify",
    "warmup",
]

_HOMES = {
    "Accepted": "checker",
    "Basis": "search",
    "Box": "specification",
    "Decision": "specification.comparison",
    "Distance": "search",
    "Domain": "specification",
    "Engine": "oracle",
    "Exported": "exporting",
    "Family": "family",
    "FamilyResult": "slicing",
    "Holds": "search",
    "InputError": "errors",
    "Network": "network",
    "NeuronStatus": "search",
    "OutputBounds": "search",
    "PhaseResult": "search",
    "PruneResult": "api",
    "Redundancy": "reduction.redundancy",
    "RedundancyClaim": "reduction.redundancy_claim",
    "Refused": "checker",
    "Specification": "specification",
    "Status": "search",
    "Unknown": "search",
    "Violated": "search",
    "bounds": "oracle",
    "check": "checking",
    "distance": "oracle",
    "equivalent": "oracle",
    "export": "exporting",
    "outputs": "specification",
    "prune": "api",
    "read_domain": "specification",
    "read_onnx": "network",
    "redundancy": "neurons",
    "robust": "specification",
    "slice_network": "slicing",
    "verify": "oracle",
    "warmup": "api",
}


class _Package(ModuleType):
    """This package: its `bounds` is the function, whichever was imported first, that or the subpackage of the same name."""

    @property
    def bounds(self) -> object:
        return __getattr__("bounds")

    @bounds.setter
    def bounds(self, subpackage: object) -> None:
        """The import system would put the subpackage there; `from secateur.bounds import ...` does not look here."""


sys.modules[__name__].__class__ = _Package


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
