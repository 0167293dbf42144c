"""What is written is read again as the same network, and runs."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.errors import InputError
from secateur.network import (
    Affine,
    Conv,
    Dense,
    Interface,
    Network,
    Replay,
    Term,
    parse_onnx,
    read_onnx,
    to_model_bytes,
    write_onnx,
)
from tests.onnx_models import assert_same
from tests.strategies import networks, skip_networks, small_dyadics


def dense(rows: Any) -> Dense:
    return Dense(np.array(rows, dtype=np.float64))


def chain(interface: Interface, inputs: int = 6, outputs: int = 4) -> Network:
    rng = np.random.default_rng(0)

    def eighths(*shape: int) -> Any:
        return rng.integers(-16, 17, shape) / 8

    layer = Affine((Term(0, Dense(eighths(3, inputs))),), eighths(3))
    output = Affine((Term(1, Dense(eighths(outputs, 3))),), eighths(outputs))
    return Network(inputs, (layer,), output, interface)


def live_layers(network: Network) -> int:
    """The number of layers the output depends on."""
    live = {term.source for term in network.output.terms}
    for k in range(len(network.layers), 0, -1):
        if k in live:
            live |= {term.source for term in network.layers[k - 1].terms}
    return len(live - {0})


@given(st.one_of(networks(), skip_networks()), st.sampled_from(range(13, 18)))
@settings(deadline=None, max_examples=60)
def test_round_trip(network: Network, opset: int) -> None:
    data = to_model_bytes(network, opset=opset)
    onnx.checker.check_model(onnx.load_model_from_string(data), full_check=True)
    assert to_model_bytes(network, opset=opset) == data
    read = parse_onnx(data, "written.onnx")
    if live_layers(network) == len(network.layers):
        assert_same(read, network)
    else:  # the reader leaves out what the output does not depend on
        point = [Fraction(1, 3)] * network.input_size
        assert read.exact(point).output == network.exact(point).output
        assert len(read.layers) == live_layers(network)


@given(st.one_of(networks(weights=small_dyadics()), skip_networks(weights=small_dyadics())), st.data())
@settings(deadline=None, max_examples=25)
def test_the_written_file_computes_the_network_on_batches(network: Network, data: st.DataObject) -> None:
    size = network.input_size
    batch = np.array([data.draw(st.lists(small_dyadics(), min_size=size, max_size=size)) for _ in range(3)])
    result = Replay(to_model_bytes(network)).evaluate(batch)
    # Three layers of products of eighths can exceed 24 bits; float32 then rounds.
    np.testing.assert_allclose(result, network.forward(batch), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("in_shape", "out_shape"),
    [
        ((None, 6), (None, 4)),
        ((1, 6), (1, 4)),
        ((6,), (4,)),
        ((1, 1, 1, 6), (1, 4)),
        ((None, 1, 2, 3), (None, 2, 2)),
        ((1, 6, 1), (4,)),
        ((2, 3), (2, 2)),
        ((None, 6), (4, 1)),
    ],
)
def test_ports_of_every_shape_survive(in_shape: tuple[int | None, ...], out_shape: tuple[int | None, ...]) -> None:
    network = chain(Interface("in put", in_shape, "out/put", out_shape, graph_name="named"))
    data = to_model_bytes(network)
    onnx.checker.check_model(onnx.load_model_from_string(data), full_check=True)
    assert_same(parse_onnx(data, "ports.onnx"), network)
    points = np.random.default_rng(1).integers(-16, 17, (5, 6)) / 8
    assert np.array_equal(Replay(data).evaluate(points), network.forward(points))


def test_a_dynamic_batch_runs_as_one_batch() -> None:
    import onnxruntime

    network = chain(Interface(input_shape=(None, 2, 3), output_shape=(None, 2, 2)))
    session = onnxruntime.InferenceSession(to_model_bytes(network), providers=["CPUExecutionProvider"])
    points = (np.random.default_rng(1).integers(-16, 17, (7, 2, 3)) / 8).astype(np.float32)
    (result,) = session.run(None, {"input": points})
    assert result.shape == (7, 2, 2)
    assert np.array_equal(result.reshape(7, 4), network.forward(points.reshape(7, 6).astype(np.float64)))


def test_default_ports_take_the_sizes_of_the_network() -> None:
    read = parse_onnx(to_model_bytes(chain(Interface())), "default.onnx")
    assert (read.interface.input_shape, read.interface.output_shape) == ((None, 6), (None, 4))


def test_ports_may_have_the_names_of_inner_values() -> None:
    network = chain(Interface("layer1", (None, 6), "output.weight", (None, 4)))
    assert_same(parse_onnx(to_model_bytes(network), "names.onnx"), network)


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_element_types_survive(kind: str) -> None:
    network = chain(Interface(input_shape=(None, 6), output_shape=(None, 4), element_type=kind))
    data = to_model_bytes(network)
    assert_same(parse_onnx(data, "types.onnx"), network)
    stored = {t.data_type for t in onnx.load_model_from_string(data).graph.initializer}
    assert stored == {onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind))}


def convolutional(bias: Any, *, skip: bool) -> Network:
    rng = np.random.default_rng(0)
    first = Conv(rng.integers(-8, 9, (4, 1, 2, 3)) / 8, (2, 4, 5), (1, 2), (1, 0, 0, 1), (2, 1), 2)
    second = Conv(rng.integers(-8, 9, (1, 4, 2, 2)) / 8, first.out_shape)
    size = second.out_size
    terms = (Term(1, second), Term(0, Dense(rng.integers(-8, 9, (size, 40)) / 8))) if skip else (Term(1, second),)
    layers = (
        Affine((Term(0, first),), np.array(bias)),
        Affine(tuple(sorted(terms, key=lambda t: t.source)), np.ones(size)),
    )
    output = Affine((Term(2, Dense(np.ones((1, size)))),), np.zeros(1))
    return Network(40, layers, output, Interface(input_shape=(None, 2, 4, 5), output_shape=(None, 1)))


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("per_channel", [False, True])
def test_convolutions_stay_convolutions(*, skip: bool, per_channel: bool) -> None:
    size = convolutional([], skip=False).layers[0].terms[0].map.out_size
    bias = np.repeat([0.5, -1.0, 0.0, 2.0], size // 4) if per_channel else np.arange(size) / 8
    network = convolutional(bias, skip=skip)
    data = to_model_bytes(network)
    assert_same(parse_onnx(data, "conv.onnx"), network)
    model = onnx.load_model_from_string(data)
    assert [n.op_type for n in model.graph.node].count("Conv") == 2
    points = np.random.default_rng(1).integers(-8, 9, (3, 40)) / 8
    assert np.array_equal(Replay(data).evaluate(points), network.forward(points))


def test_a_constant_network_is_written_for_any_batch() -> None:
    network = Network(3, (), Affine((), np.array([1.5, -2.0])), Interface(output_shape=(None, 2)))
    data = to_model_bytes(network)
    assert Replay(data).evaluate(np.ones((3, 3))).tolist() == [[1.5, -2.0]] * 3
    assert parse_onnx(data, "constant.onnx").exact([Fraction(7)] * 3).output == (Fraction(3, 2), Fraction(-2))


def test_two_terms_of_one_source_add_up() -> None:
    layer = Affine((Term(0, dense([[1, 2]])), Term(0, dense([[0.5, -2]]))), np.array([1.0]))
    network = Network(2, (layer,), Affine((Term(1, dense([[1]])),), np.zeros(1)))
    read = parse_onnx(to_model_bytes(network), "twice.onnx")
    assert read.layers[0].terms[0].map.dense().weight.tolist() == [[1.5, 0.0]]


def test_metadata_and_versions() -> None:
    model = onnx.load_model_from_string(to_model_bytes(chain(Interface()), provenance={"a": "1", "b": "2"}, opset=15))
    assert {p.key: p.value for p in model.metadata_props} == {"a": "1", "b": "2"}
    assert (model.ir_version, model.opset_import[0].version, model.producer_name) == (8, 15, "secateur")


def test_the_file_appears_complete_or_not_at_all(tmp_path: Path) -> None:
    path, network = tmp_path / "net.onnx", chain(Interface(input_shape=(None, 6), output_shape=(None, 4)))
    assert write_onnx(network, path) == path.read_bytes() == to_model_bytes(network)
    assert_same(read_onnx(path), network)
    with pytest.raises(InputError, match="cannot be written: No such file or directory"):
        write_onnx(network, tmp_path / "missing" / "net.onnx")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write_onnx(network, tmp_path / "folder")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "net.onnx"]


def with_layer(network: Network, layer: Affine) -> Network:
    return replace(network, layers=(layer,))


def test_what_the_file_cannot_hold_is_refused(tmp_path: Path) -> None:
    network = chain(Interface())
    matrix = network.layers[0].terms[0].map.dense()
    third = Fraction(1, 3)
    half = replace(network.interface, element_type="float16")
    huge = Affine((Term(0, Dense(matrix.weight * 1e5)),), np.zeros(3))
    cases = {
        "no float32 numbers": with_layer(network, Affine((Term(0, Dense(matrix.weight / 3)),), np.zeros(3))),
        r"layer1\.bias holds weights": with_layer(network, Affine((Term(0, matrix),), np.full(3, 0.1))),
        r"layer1\.bias holds rationals": with_layer(network, Affine((Term(0, matrix),), np.full(3, 1 / 3), (third,) * 3)),
        "layer1 holds weights that are no float64": with_layer(
            network,
            Affine((Term(0, Dense(matrix.weight, np.full((3, 6), third, dtype=object))),), np.zeros(3)),
        ),
        "no float16 numbers": replace(with_layer(network, huge), interface=half),
        "empty layer": with_layer(network, Affine((Term(0, Dense(np.zeros((0, 6)))),), np.zeros(0))),
        "does not hold 6 values": replace(network, interface=Interface(input_shape=(None, 5))),
    }
    for words, case in cases.items():
        with pytest.raises(ValueError, match=words):
            write_onnx(case, tmp_path / "never.onnx")
    for opset in (12, 18):
        with pytest.raises(ValueError, match=f"opset {opset}"):
            to_model_bytes(network, opset=opset)
    assert not list(tmp_path.iterdir())
