"""Scales that runtimes move (section 11 of the format): what is refused, and that onnxruntime does what makes it necessary."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from secateur.checker import Accepted, Refused, check
from secateur.checker.float32 import float_network
from secateur.checker.refusal import Refusal
from secateur.checker.slack import gamma
from tests.checker.float32_cases import Evaluation, box, small
from tests.checker.query_cases import PartCase, QueryCase, head, row_text, write_query_certificate
from tests.onnx_models import node


def refusal(data: bytes) -> tuple[str, str] | None:
    """Where and why a network is refused."""
    try:
        float_network(data)
    except Refusal as found:
        return f"{found.rule}, {found.step}", found.reason.split(",")[0]
    return None


def row_of_scales(*ops: str) -> bytes:
    """Nodes in a row; Mul and Div by 3, Add of 3."""
    nodes = [node(op, [f"t{i}", "c"] if op not in ("Relu", "Neg") else [f"t{i}"], f"t{i + 1}") for i, op in enumerate(ops)]
    return small([node("Identity", ["x"], "t0"), *nodes, node("Identity", [f"t{len(ops)}"])], {"c": [3.0]}, 1)


ROWS = [
    (("Mul", "Div"), None),
    (("Mul", "Relu", "Div", "Mul"), None),
    (("Relu", "Mul", "Mul", "Relu", "Mul", "Div", "Relu"), None),
    (("Mul", "Div", "Mul"), "t3"),
    (("Relu", "Div", "Add", "Mul", "Neg", "Div", "Relu"), "t6"),
]


@pytest.mark.parametrize(("ops", "where"), ROWS)
def test_at_most_two_scales_between_two_relus(ops: tuple[str, ...], where: str | None) -> None:
    words = "3 times Mul or Div in a row"
    expected = where and (f"float32, node {ops[int(where[1:]) - 1]} -> {where}", words)
    assert refusal(row_of_scales(*ops)) == expected


def test_the_path_with_most_scales_counts() -> None:
    """Two scales on one branch, one on the other: a third is too many after their sum, but not after the second branch alone."""
    branches = [node("Mul", ["x", "c"], "a"), node("Mul", ["a", "c"], "b"), node("Div", ["x", "c"], "d")]
    both = small([*branches, node("Add", ["d", "b"], "s"), node("Mul", ["s", "c"])], {"c": [3.0]})
    assert refusal(both) == ("float32, node Mul -> y", "3 times Mul or Div in a row")
    assert refusal(small([*branches, node("Mul", ["d", "c"], "s"), node("Add", ["s", "b"])], {"c": [3.0]})) is None


def beyond(exponent: int, step: int) -> float:
    """The float32 number next to a power of two, above or below."""
    return float(np.nextafter(np.float32(2.0**exponent), np.float32(np.inf if step > 0 else 0)))


def next_to_scale(op: str, entry: float) -> bytes:
    """A constant entry in a node of its own (in its bias, if `op` says so), with other entries 1 and 0, after a scale by 1."""
    kind, _, bias = op.partition(" ")
    image = kind == "Conv"
    weights = np.float32([1, 0, -1, 1] if bias else [1, 0, entry, 1]).reshape((2, 2, 1, 1) if image else (2, 2))
    stored: dict[str, Any] = {"one": np.float32(1), "w": np.float32([-entry, 1]) if kind in ("Mul", "Div", "Add") else weights}
    if bias:
        stored["b"] = np.float32([0, entry])
    nodes = [node("Div", ["x", "one"], "s"), node(kind, ["s", "w", "b"] if bias else ["s", "w"])]
    return small(nodes, stored, shape=[1, 2, 1, 1] if image else None)


LARGE, SMALL = "a constant is larger than 2^{}", "a constant is smaller than 2^{}"
RANGES = [
    ("Mul", -16, 16), ("Div", -16, 16), ("MatMul", -94, 16), ("Gemm", -94, 16), ("Conv", -94, 16),
    ("Add", None, 94), ("Gemm bias", None, 94), ("Conv bias", None, 94),
]  # fmt: skip


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("op", "low", "high"), RANGES)
def test_ranges_of_constants(op: str, low: int | None, high: int, sign: int) -> None:
    where = f"float32, node {op.partition(' ')[0]} -> y"
    assert refusal(next_to_scale(op, sign * 2.0**high)) is None
    assert refusal(next_to_scale(op, sign * beyond(high, 1))) == (where, LARGE.format(high))
    least = -149 if low is None else low
    assert refusal(next_to_scale(op, sign * 2.0**least)) is None
    if low is not None:
        assert refusal(next_to_scale(op, sign * beyond(low, -1))) == (where, SMALL.format(low))


@pytest.mark.parametrize("entry", [2.0**17, 2.0**-17])
@pytest.mark.parametrize("op", ["Mul", "Div"])
def test_scales_have_ranges_without_any_product(op: str, entry: float) -> None:
    found = refusal(small([node(op, ["x", "c"])], {"c": [entry]}))
    assert found == (f"float32, node {op} -> y", (LARGE if entry > 1 else SMALL).format(16 if entry > 1 else -16))


@pytest.mark.parametrize("entry", [2.0**-95, 2.0**17, 2.0**-149])
@pytest.mark.parametrize("op", ["MatMul", "Gemm", "Conv"])
def test_without_scales_weights_have_no_range(op: str, entry: float) -> None:
    """Also where there is a Mul that the output does not depend on."""
    assert refusal(next_to_scale(op, entry)) is not None
    shape = (1, 1, 1, 1) if op == "Conv" else (1, 1)
    stored = {"w": np.full(shape, entry, np.float32), "c": np.float32(2.0**40)}
    nodes = [node("Mul", ["x", "c"], "unused"), node(op, ["x", "w"])]
    assert refusal(small(nodes, stored, shape=list(shape))) is None


def test_constants_that_are_only_moved_count_too() -> None:
    """A large constant that is joined to the input, and then scaled down in the graph, may be scaled up first."""
    nodes = [node("Concat", ["x", "k"], "j", axis=1), node("MatMul", ["j", "w"], "z"), node("Mul", ["z", "c"])]
    stored = {"k": np.float32([[2.0**95]]), "w": np.float32([[1], [2.0**-90]]), "c": [1.0]}
    assert refusal(small(nodes, stored, 1)) == ("float32, node Concat -> j", LARGE.format(94))
    stored["k"] = np.float32([[2.0**94]])
    assert refusal(small(nodes, stored, 1)) is None


@pytest.mark.parametrize(("beta", "scaled", "refused"), [(0.5, True, True), (0.5, False, False), (1.0, True, False)])
def test_beta_next_to_scales(beta: float, scaled: bool, refused: bool) -> None:
    nodes = [node("Mul" if scaled else "Add", ["x", "one"], "s"), node("Gemm", ["s", "w", "b"], beta=beta)]
    found = refusal(small(nodes, {"one": [1.0], "w": [[1.0], [1.0]], "b": [1.0]}))
    assert found == (("float32, node Gemm -> y", "beta is not 1") if refused else None)


@pytest.mark.parametrize("op", ["Mul", "Div", "Neg"])
def test_inputs_are_at_most_lambda(op: str) -> None:
    """The weight of the second input is 0, so that only its own magnitude matters."""
    nodes = [node("MatMul", ["x", "w"], "a"), node(op, ["a"] if op == "Neg" else ["a", "c"])]
    found = float_network(small(nodes, {"w": [[1.0], [0.0]], "c": [1.0]} if op != "Neg" else {"w": [[1.0], [0.0]]}))
    exponent, limit = (126, 1 << 126) if op == "Neg" else (94, 1 << 94)
    assert found.limits.exponent == exponent
    for size in (limit, -limit):
        found.check_overflow(_second(size))
    for size in (limit + 1, -limit - 1, 1 << 127):
        with pytest.raises(Refusal, match=f"a value could exceed 2\\^{exponent}") as caught:
            found.check_overflow(_second(size))
        assert caught.value.step == "input 1"


def _second(size: int) -> Any:
    domain = box(2)
    return type(domain)((domain.lower[0], Fraction(min(0, size))), (domain.upper[0], Fraction(max(0, size))))


@pytest.mark.parametrize(("high", "where"), [(2**94 - 2**70, None), (2**94, "node Mul -> y"), (2**94 + 2**71, "input 0")])
def test_no_result_exceeds_lambda(high: int, where: str | None) -> None:
    """eta counts: 2^94 is just too much for x * 1."""
    found = float_network(small([node("Mul", ["x", "c"])], {"c": [1.0]}, 1))
    if where is None:
        found.check_overflow(box(1, "0", str(high)))
        return
    with pytest.raises(Refusal, match="2\\^94") as caught:
        found.check_overflow(box(1, "0", str(high)))
    assert caught.value.step == where


def fused(data: bytes, x: Any, folder: Path, level: str = "ORT_ENABLE_ALL") -> tuple[Fraction, list[str]]:
    """What onnxruntime computes for one input, and the operators of the graph that it made of the model."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns that the graph it writes is for this machine
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(folder / "made.onnx")
    session = onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": np.full(session.get_inputs()[0].shape, x, np.float32)})
    made = [own.op_type for own in onnx.load(folder / "made.onnx").graph.node]
    return (Fraction(y.item()) if np.isfinite(y) else Fraction(2) ** 200), made


# x / c, then times w: two roundings in a row in the graph, but onnxruntime computes x w fl(1 / c)
X, DIVISOR, WEIGHT = 1.88387572765350341796875, 1.8884915113449097, 1.0787869691848755
DIVIDED = small([node("Div", ["x", "c"], "a"), node("MatMul", ["a", "w"])], {"c": np.float32(DIVISOR), "w": [[WEIGHT]]}, 1)


def test_a_divisor_costs_two_roundings_in_onnxruntime(tmp_path: Path) -> None:
    """With one rounding for Div the bound would be exceeded."""
    x, c, w = (Fraction(np.float32(own).item()) for own in (X, DIVISOR, WEIGHT))
    found, exact = float_network(DIVIDED), x * w / c
    size = exact + w * Fraction(1, 1 << 72) + Fraction(1, 1 << 72)
    y, made = fused(DIVIDED, X, tmp_path)
    assert made == ["FusedMatMul"]
    assert found.output_roundings == 3
    assert gamma(2) * size < abs(y - exact) <= gamma(3) * size
    plain, made = fused(DIVIDED, X, tmp_path, "ORT_DISABLE_ALL")
    assert made == ["Div", "MatMul"]
    assert abs(plain - exact) <= gamma(2) * size


def test_the_evaluations_of_the_tests_move_scales(tmp_path: Path) -> None:
    """Among them are what onnxruntime computes with and without its optimisations."""
    seen = {Evaluation(onnx.load_from_string(DIVIDED), seed).run(np.float32([[X]]))[1][0] for seed in range(40)}
    assert seen >= {fused(DIVIDED, X, tmp_path)[0], fused(DIVIDED, X, tmp_path, "ORT_DISABLE_ALL")[0]}


MOVED = [  # operator and factor before a product, its weight, operator and factor after it, input
    ("Conv", None, 0.0, 2.0**100, "Mul", 2.0**60, 2.0**-100),  # the weights become infinite
    ("Conv", None, 0.0, 2.0**120, "Mul", 2.0**16, 2.0**-110),
    ("Conv", None, 0.0, 2.0**-100, "Mul", 2.0**-60, 2.0**100),  # and these vanish
    ("MatMul", "Mul", 2.0**-100, 2.0**100, None, 0.0, 2.0**100),  # x w becomes infinite
    ("MatMul", "Mul", 2.0**80, 2.0**-80, None, 0.0, 2.0**-80),  # and vanishes
]


def around(op: str, first: str | None, factor: float, weight: float, last: str | None, other: float) -> bytes:
    shape = (1, 1, 1, 1) if op == "Conv" else (1, 1)
    nodes = [node(first, ["x", "c"], "a")] if first else []
    nodes.append(node(op, ["a" if first else "x", "w"], "b" if last else "y"))
    nodes += [node(last, ["b", "d"])] if last else []
    scales = {"c": factor} if first else {}
    scales |= {"d": other} if last else {}
    stored = {name: np.full(shape if op == "Conv" else (), value, np.float32) for name, value in scales.items()}
    return small(nodes, stored | {"w": np.full(shape, weight, np.float32)}, shape=list(shape))


@pytest.mark.parametrize(("op", "first", "factor", "weight", "last", "other", "x"), MOVED)
def test_onnxruntime_is_wrong_where_constants_are_refused(
    op: str, first: str | None, factor: float, weight: float, last: str | None, other: float, x: float, tmp_path: Path
) -> None:
    data = around(op, first, factor, weight, last, other)
    exact = Fraction(x) * Fraction(weight) * Fraction(factor or 1) * Fraction(other or 1)
    assert abs(fused(data, x, tmp_path)[0] - exact) > exact / 2
    assert fused(data, x, tmp_path, "ORT_DISABLE_ALL")[0] == exact
    found = refusal(data)
    assert found is not None
    assert found[1].startswith("a constant is")


LIMITS = [
    (op, first, factor, weight, last, other, x)
    for op in ("MatMul", "Conv")
    for first, factor, last, other in [
        ("Mul", 2.0**16, "Mul", 2.0**16),
        ("Mul", 2.0**-16, "Div", 2.0**16),
        ("Div", 2.0**16, "Mul", 2.0**16),
    ]
    for weight in (2.0**-94, 2.0**16)
    for x in (2.0**45, 2.0**-56, 2.0**-149)  # 2^-56 2^-94 vanishes, if a factor of 2^32 is applied to it afterwards
]


@pytest.mark.parametrize(("op", "first", "factor", "weight", "last", "other", "x"), LIMITS)
def test_onnxruntime_stays_within_the_bound_at_the_limits(
    op: str, first: str, factor: float, weight: float, last: str, other: float, x: float, tmp_path: Path
) -> None:
    data = around(op, first, factor, weight, last, other)
    found = float_network(data)
    found.check_overflow(box(1, "0", str(Fraction(x))))
    exact = Fraction(x) * Fraction(weight)
    for kind, value in ((first, Fraction(factor)), (last, Fraction(other))):
        exact *= value if kind == "Mul" else 1 / value
    row = found.output.rows[0]
    size = Fraction(row.get(0, 0) + row[1] * Fraction(x)) / found.output.denominator
    assert abs(fused(data, x, tmp_path)[0] - exact) <= gamma(found.output_roundings) * size


def divided_case(bound: str) -> QueryCase:
    """The network above at the one point X; the query asks for y <= bound."""
    x = "1.88387572765350341796875"
    text = head(1, 1, [(x, x)]) + f"(assert {row_text(['0'], ['1'], bound, False)})\n"
    return QueryCase(DIVIDED, text.encode(), 1, [PartCase(1, [42], [0])], float32=True)


def test_a_certificate_that_onnxruntime_contradicts_is_refused(tmp_path: Path) -> None:
    """The exact value is 1.0761502365; onnxruntime is below it by 2.76 u, so three roundings have to be paid, and are enough."""
    y, _ = fused(DIVIDED, X, tmp_path)
    bound = "1.07615007910393844822708"
    assert y <= Fraction(bound)
    assert isinstance(check(write_query_certificate(tmp_path, divided_case(bound))), Refused)
    assert isinstance(check(write_query_certificate(tmp_path, divided_case("1.07615004"))), Accepted)
