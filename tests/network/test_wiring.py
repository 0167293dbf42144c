"""Several inputs and outputs as one, and hidden values as further outputs: exactly, and in onnxruntime alike."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from secateur.errors import InputError
from secateur.network import Network, Replay, Wire, Wiring, parse_onnx
from tests.onnx_models import model_bytes, node

# p has 2 elements, q 3; h = p w + (q's first two), g = relu(h), y = g v, z = q - y's sum; dead = relu(3 q) feeds no output.
WEIGHTS = {
    "w": np.array([[1, -2], [0.5, 1]], dtype=np.float32),
    "v": np.array([[1, 2, 0], [-1, 1, 1]], dtype=np.float32),
    "three": np.float32(3),
    "from": np.array([0]),
    "to": np.array([2]),
    "axis": np.array([1]),
}
NODES = [
    node("MatMul", ["p", "w"], "pw"),
    node("Slice", ["q", "from", "to", "axis"], "start"),
    node("Add", ["pw", "start"], "h"),
    node("Relu", ["h"], "g"),
    node("MatMul", ["g", "v"], "y"),
    node("Sub", ["q", "y"], "z"),
    node("Mul", ["q", "three"], "triple"),
    node("Relu", ["triple"], "dead"),
    node("Sigmoid", ["q"], "curved"),
    node("Abs", ["curved"], "beyond"),
    node("Shape", ["q"], "dims"),
]
DATA = model_bytes(NODES, WEIGHTS, inputs={"p": [1, 2], "q": ["N", 3]}, outputs={"y": [1, 3], "z": [1, 3]})
P, Q, Y, Z = Wire("P", 2), Wire("Q", 3), Wire("Y", 3), Wire("Z", 3)
PLAIN = Wiring((P, Q), (Y, Z))


def wired(wiring: Wiring) -> Network:
    return parse_onnx(DATA, "net.onnx", wiring=wiring)


def expected(p: np.ndarray, q: np.ndarray) -> dict[str, np.ndarray]:
    h = p @ WEIGHTS["w"] + q[:2]
    g = np.maximum(h, 0)
    y = g @ WEIGHTS["v"]
    return {"h": h, "g": g, "y": y, "z": q - y, "dead": np.maximum(3 * q, 0)}


@pytest.mark.parametrize("hidden", [[], ["h"], ["dead"], ["g", "h", "dead", "h"], ["y"]])
@pytest.mark.parametrize("swapped", [False, True])
def test_elements_follow_one_another_in_the_order_of_the_wires(hidden: list[str], swapped: bool) -> None:
    wires = tuple(Wire(f"H{i}", 3 if name in ("dead", "y") else 2, name) for i, name in enumerate(hidden))
    wiring = replace(PLAIN, hidden=wires)
    if swapped:
        named = [replace(wire, name=wire.label.lower()) for wire in (Q, P, Z, Y)]
        wiring = Wiring((named[0], named[1]), (named[2], named[3]), wires)
    network, replay = wired(wiring), Replay(DATA, wiring)
    assert (network.input_size, replay.input_size) == (5, 5)
    points = np.random.default_rng(1).integers(-8, 8, (20, 5)) / 4
    found = replay.evaluate(points)
    for point, row in zip(points, found, strict=True):
        p, q = (point[3:], point[:3]) if swapped else (point[:2], point[2:])
        values = expected(p, q)
        names = [*(("z", "y") if swapped else ("y", "z")), *hidden]
        exact = network.exact([Fraction(v) for v in point]).output
        assert [float(v) for v in exact] == np.concatenate([values[name] for name in names]).tolist() == row.tolist()
    assert replay.evaluate(points[:0]).shape == (0, found.shape[1])
    assert np.array_equal(network.forward(points), found)


def test_a_hidden_value_that_is_folded_away() -> None:
    nodes = [node("Relu", ["c"], "folded"), node("Add", ["x", "folded"])]
    data = model_bytes(nodes, {"c": [-1.0, 2.0]}, inputs={"x": [2]}, outputs={"y": [2]})
    wiring = Wiring((Wire("X", 2),), (Wire("Y", 2),), (Wire("H", 2, "folded"),))
    assert [float(v) for v in parse_onnx(data, "net.onnx", wiring=wiring).exact([Fraction(1)] * 2).output] == [1, 3, 0, 2]
    assert Replay(data, wiring).evaluate(np.ones((1, 2))).tolist() == [[1, 3, 0, 2]]


def test_one_input_may_be_wired_by_name() -> None:
    data = model_bytes([node("Relu", ["x"])], inputs={"x": [2]}, outputs={"y": [2]})
    assert parse_onnx(data, "n", wiring=Wiring((Wire("X", 2, "x"),), (Wire("Y", 2, "y"),))).output_size == 2


@pytest.mark.parametrize(
    ("wiring", "line"),
    [
        (Wiring((P,), (Y, Z)), "net.onnx: has 2 inputs (p, q), the query declares 1 (P); declare every one"),
        (Wiring((P, Q), (Y,)), "net.onnx: has 2 outputs (y, z), the query declares 1 (Y); declare every one"),
        (
            Wiring((replace(P, name="x"), replace(Q, name="q")), (Y, Z)),
            "net.onnx: has no input 'x', which the query gives for P; it has p, q",
        ),
        (
            Wiring((P, Q), (replace(Y, name="z"), replace(Z, name="z"))),
            "net.onnx: the query takes output 'z' twice; name each once",
        ),
        (
            Wiring((Q, P), (Y, Z)),
            "net.onnx: input 'p': the query declares 3 values for Q, the file has 2; "
            "use the network that the query was written for",
        ),
        (
            Wiring((P, Q), (Y, replace(Z, size=4))),
            "net.onnx: output 'z': the query declares 4 values for Z, the file has 3; "
            "use the network that the query was written for",
        ),
        (
            replace(PLAIN, hidden=(Wire("H", 3, "h"),)),
            "net.onnx: hidden value H ('h'): the query declares 3 values for H, the file has 2; "
            "use the network that the query was written for",
        ),
        *(
            (
                replace(PLAIN, hidden=(Wire("H", 2, name),)),
                f"net.onnx: hidden value H ({name!r}) is no node's output; "
                "a hidden value is the output of a node, by the tensor's name in the file",
            )
            for name in ("nowhere", "p", "w", "")
        ),
        (
            replace(PLAIN, hidden=(Wire("H", 2, "dims"),)),
            "net.onnx: hidden value H ('dims') is int64 of size 2; the input is float32; make them the same type",
        ),
    ],
)
def test_what_does_not_fit_is_refused(wiring: Wiring, line: str) -> None:
    with pytest.raises(InputError) as caught:
        wired(wiring)
    assert str(caught.value) == line


@pytest.mark.parametrize("name", ["curved", "beyond"])
def test_hidden_values_that_are_not_piecewise_linear_are_refused(name: str) -> None:
    with pytest.raises(InputError) as caught:
        wired(replace(PLAIN, hidden=(Wire("H", 3, name),)))
    start = f"net.onnx: node 'the_Sigmoid_curved' (Sigmoid, opset 13): hidden value H ({name!r}) cannot be read: operator is not"
    assert str(caught.value).startswith(start)


def test_inputs_of_different_types_are_refused() -> None:
    model = onnx.load_model_from_string(DATA)
    model.graph.input[1].type.tensor_type.elem_type = TensorProto.DOUBLE
    with pytest.raises(InputError, match=r"input 'q': has float64 elements, input 'p' has float32"):
        parse_onnx(model.SerializeToString(), "net.onnx", wiring=PLAIN)


def test_the_replay_refuses_what_the_reader_refuses() -> None:
    with pytest.raises(InputError, match="declares 3 values for Q, the file has 2"):
        Replay(DATA, Wiring((Q, P), (Y, Z)))
    with pytest.raises(InputError, match="declares 4 values for Z, the file has 3"):
        Replay(DATA, Wiring((P, Q), (Y, replace(Z, size=4)))).evaluate(np.zeros((1, 5)))
    with pytest.raises(InputError, match=r"has 2 inputs \(p, q\)"):
        Replay(DATA, Wiring((P,), (Y, Z)))
