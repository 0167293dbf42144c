"""What a network is: reading, meaning, evaluating and writing piecewise-linear networks, exactly."""

from __future__ import annotations

from secateur.network.linear import Conv, Dense, LinearMap
from secateur.network.model import Affine, ExactTrace, Interface, Network, Term
from secateur.network.onnx_reader import SUPPORTED_OPSETS, keeps_weights_outside, parse_onnx, read_onnx, with_all_weights
from secateur.network.onnx_writer import to_model_bytes, write_onnx
from secateur.network.replay import Replay
from secateur.network.transform import as_chain
from secateur.network.wiring import Wire, Wiring

__all__ = [
    "SUPPORTED_OPSETS",
    "Affine",
    "Conv",
    "Dense",
    "ExactTrace",
    "Interface",
    "LinearMap",
    "Network",
    "Replay",
    "Term",
    "Wire",
    "Wiring",
    "as_chain",
    "keeps_weights_outside",
    "parse_onnx",
    "read_onnx",
    "to_model_bytes",
    "with_all_weights",
    "write_onnx",
]
