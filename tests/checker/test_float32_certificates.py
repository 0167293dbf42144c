"""Certificates about float32 arithmetic (section 11 of the format): accepted with the slack that they need, and forged ones."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secateur.checker import Accepted, Refused, check
from tests.checker.pair_cases import PairCase, close_pair, prove, write_pair_certificate
from tests.checker.query_cases import PartCase, QueryCase, head, random_query_case, row_text, write_query_certificate
from tests.checker.support import dense_model

Change = Callable[[dict[str, Any]], object]
STEP = Fraction(1, 1 << 23)  # just below the slack of y = x on [0, 1]: gamma_2 (1 + 2^-125)
GRID = 42  # as fine as terms below 2^46 allow
ROUNDED = 1 + Fraction(1, 1 << 14)  # s has 16 bits
LINE = [(np.float32([[1]]), np.float32([0]))]
ABS = [(np.float32([[1], [-1]]), np.float32([0, 0])), (np.float32([[1, 1]]), np.float32([0]))]


def both(path: Path, **options: object) -> Accepted | Refused:
    """The verdict, which both arithmetics must agree on."""
    fast, exact = (check(path, arithmetic=own, **options) for own in ("fast", "exact"))  # type: ignore[arg-type]
    if isinstance(fast, Accepted) and isinstance(exact, Accepted):
        assert fast.statement.replace("in fast integer", "in exact integer") == exact.statement
        return fast
    assert fast == exact
    return fast


def line_query(bound: Fraction, float32: bool = True) -> QueryCase:
    """N(x) = x on [0, 1]; the query asks for y >= bound."""
    text = head(1, 1, [("0", "1")]) + f"(assert {row_text(['0'], ['-1'], str(-bound_decimal(bound)), False)})\n"
    return QueryCase(dense_model(LINE), text.encode(), 1, [PartCase(1, [GRID], [0])], float32=float32)


def bound_decimal(bound: Fraction) -> Any:
    """A dyadic number as an exact decimal."""
    from decimal import Context, Decimal

    return Context(prec=100).divide(Decimal(bound.numerator), Decimal(bound.denominator))


QUERIES = [(1 + STEP * 2, True, True), (1 + STEP, True, False), (1 + STEP, False, True), (Fraction(1), False, False)]


@pytest.mark.parametrize(("bound", "float32", "accepted"), QUERIES)
def test_a_query_needs_the_slack_of_the_output(bound: Fraction, float32: bool, accepted: bool, tmp_path: Path) -> None:
    verdict = both(write_query_certificate(tmp_path, line_query(bound, float32)), strict=True)
    assert isinstance(verdict, Accepted) is accepted
    if isinstance(verdict, Accepted):
        words = "no float32 x satisfies, in any float32 evaluation of N, the query" if float32 else "no x satisfies the query"
        assert verdict.statement.startswith(f"Verified: {words} prop.vnnlib")
    elif isinstance(verdict, Refused):
        assert verdict.reason == "is a leaf, but the disjunct '0' is open"


def line_pair(tolerance: Fraction, float32: bool = True) -> PairCase:
    """N = N' = x on [0, 1]; both may round."""
    claim = {"kind": "agree", "tolerance": str(tolerance)}
    own = dense_model(LINE)
    return PairCase(own, own, '{"lower": ["0"], "upper": ["1"]}', claim, [], [], [], [GRID], symbols=[0], float32=float32)


PAIRS = [(2 * STEP * ROUNDED, True, True), (2 * STEP, True, False), (Fraction(0), False, True)]


@pytest.mark.parametrize(("tolerance", "float32", "accepted"), PAIRS)
def test_equal_networks_differ_by_what_both_round(tolerance: Fraction, float32: bool, accepted: bool, tmp_path: Path) -> None:
    verdict = both(write_pair_certificate(tmp_path, line_pair(tolerance, float32)), strict=True)
    assert isinstance(verdict, Accepted) is accepted
    if isinstance(verdict, Accepted) and float32:
        words = f"for all float32 x in D and every float32 evaluation of N and N', max |N(x) - N'(x)| <= {tolerance}, where"
        assert verdict.statement.startswith(f"Verified: {words}")


def hidden_pair(tolerance: str, **options: Any) -> PairCase:
    """Two equal networks with a hidden layer; its neurons are paired."""
    claim = {"kind": "agree", "tolerance": tolerance, **options}
    own, domain = dense_model(ABS), '{"lower": ["-1"], "upper": ["1"]}'
    return PairCase(own, own, domain, claim, [1], "position", [0], [GRID, GRID], symbols=[0], float32=True)


@pytest.mark.parametrize(("tolerance", "accepted"), [("2e-6", True), ("4e-7", False), ("0", False)])
def test_nothing_is_shared(tolerance: str, accepted: bool, tmp_path: Path) -> None:
    """Equal neurons may be computed differently: both layers cost something, so 0 is not shown, as it is over the reals."""
    case = hidden_pair(tolerance)
    assert isinstance(both(write_pair_certificate(tmp_path, case)), Accepted) is accepted
    case.float32 = False
    assert isinstance(both(write_pair_certificate(tmp_path, case)), Accepted)


@pytest.mark.parametrize(("factor", "accepted"), [(Fraction(7, 4), True), (Fraction(1), False)])
def test_a_claim_about_layers_pays_for_them_alone(factor: Fraction, accepted: bool, tmp_path: Path) -> None:
    """r - r' = z - z' at most, each of which is rounded: 2 gamma_2, and 2^-23 for rows of 24 bits; no more."""
    case = hidden_pair(str(2 * STEP * factor), layer=[1, 1])
    assert isinstance(both(write_pair_certificate(tmp_path, case)), Accepted) is accepted


@pytest.mark.parametrize("margin", ["1e-5", "0"])
def test_decisions(margin: str, tmp_path: Path) -> None:
    """y = (x, -x) twice: the sign of x decides, but nothing is known where rounding could."""
    own = dense_model([(np.float32([[1], [-1]]), np.float32([0, 0]))])
    claim = {"kind": "decision", "rule": "argmax", "margin": margin}
    domain = '{"lower": ["-1"], "upper": ["1"]}'
    case = PairCase(own, own, domain, claim, [], [], [], [GRID], symbols=[0], float32=True)
    verdict = both(write_pair_certificate(tmp_path, case))
    assert isinstance(verdict, Accepted) is (margin != "0")
    if isinstance(verdict, Accepted):
        lead = "if an output of N is greater than all others by more than 1/100000, the same output of N' is greater than"
        start = "Verified: for all float32 x in D and every float32 evaluation of N and N',"
        assert verdict.statement.startswith(f"{start} {lead}")


@pytest.mark.parametrize("seed", range(8))
def test_random_pairs_with_trees(seed: int, tmp_path: Path) -> None:
    case = close_pair(seed, (2, 4, 3, 2), factor=1.6)
    case.shifts, case.float32 = [0] * len(case.shifts), True
    if prove(case, limit=30):
        assert isinstance(both(write_pair_certificate(tmp_path, case), strict=True), Accepted)
    case.claim, case.symbols = {"kind": "agree", "tolerance": "0"}, [0]
    assert isinstance(both(write_pair_certificate(tmp_path, case)), Refused)


@pytest.mark.parametrize("seed", range(6))
def test_random_queries_with_trees(seed: int, tmp_path: Path) -> None:
    """Queries that are refuted with some margin are so in float32, with the same trees."""
    case = random_query_case(seed)
    case.float32 = True
    assert isinstance(both(write_query_certificate(tmp_path, case), strict=True), Accepted)


def test_facts_about_n_are_about_computed_values(tmp_path: Path) -> None:
    """x - 1 <= 0 on [-1, 1], but only over the reals: rounding may lift it above 0. With x - 2 there is room."""
    last = (np.float32([[1, 1]]), np.float32([0]))
    for bias, accepted in ((-1, False), (-2, True)):
        own = dense_model([(np.float32([[1], [1]]), np.float32([bias, 2])), last])
        claim, domain = {"kind": "agree", "tolerance": "1e-4"}, '{"lower": ["-1"], "upper": ["1"]}'
        case = PairCase(own, own, domain, claim, [1], "position", [0], [GRID, GRID], symbols=[0], float32=True)
        case.interval = [[1, 0, "inactive"]]
        verdict = both(write_pair_certificate(tmp_path, case))
        assert isinstance(verdict, Accepted) is accepted
        if isinstance(verdict, Refused):
            assert (verdict.rule, verdict.step) == ("interval", "original interval 0")
        case.float32 = False
        assert isinstance(both(write_pair_certificate(tmp_path, case)), Accepted)


def with_solver(header: dict[str, Any]) -> None:
    header["facts"]["original"]["solver"] = [{"claim": [1, 0, "active"], "by": "z3"}]


FORGED: list[tuple[Change, str]] = [
    (lambda h: h.update(semantics="float64"), "Refused: header, semantics: only 'float32' is known"),
    (lambda h: h.update(semantics=None), "Refused: header, semantics: only 'float32' is known"),
    (lambda h: h.update(shifts=[3]),
     "Refused: float32, shifts[0]: differences of computed values are not scaled: 0 is needed, not 3"),
    (with_solver,
     "Refused: float32, facts.original.solver: a solver's word is about the reals, not about float32 arithmetic"),
    (lambda h: h["difference"].update(trusted=1),
     "Refused: float32, difference.trusted: a solver's word is about the reals, not about float32 arithmetic"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), FORGED)
def test_forged_pairs(change: Change, words: str, tmp_path: Path) -> None:
    path = write_pair_certificate(tmp_path, hidden_pair("2e-6"), change)
    assert str(both(path)) == words


def test_trusted_leaves_of_a_query_are_refused(tmp_path: Path) -> None:
    case = line_query(Fraction(1))
    case.parts[0].symbols = [2]
    words = "a solver's word is about the reals, not about float32 arithmetic"
    assert str(both(write_query_certificate(tmp_path, case))) == f"Refused: float32, parts[0].trusted: {words}"


@pytest.mark.parametrize(("high", "where"), [("8.5e37", "node Gemm -> z0"), ("1e38", "input 0")])
def test_overflow_is_refused_in_words(high: str, where: str, tmp_path: Path) -> None:
    """2^126 is 8.507e37. With a weight above 1 the product exceeds it first."""
    reason = "a value could exceed 2^126: that it does not overflow is not shown"
    pair, query = line_pair(Fraction(1)), line_query(Fraction(2))
    pair.original = pair.reduced = query.network = dense_model([(np.float32([[1.5]]), np.float32([0]))])
    pair.domain = f'{{"lower": ["0"], "upper": ["{high}"]}}'
    assert str(both(write_pair_certificate(tmp_path, pair))) == f"Refused: float32, original {where}: {reason}"
    query.query = query.query.replace(b"(<= X_0 1)", f"(<= X_0 {high})".encode())
    assert str(both(write_query_certificate(tmp_path, query))) == f"Refused: float32, parts[0] {where}: {reason}"


def test_other_kinds_of_claims_have_no_semantics(tmp_path: Path) -> None:
    query = line_query(Fraction(1))
    query.point, query.parts = ["1"], []
    assert str(both(write_query_certificate(tmp_path, query))) == "Refused: header, header: unknown key 'semantics'"
    pair = line_pair(Fraction(0))
    pair.claim = {"kind": "refuted", "claim": pair.claim, "point": ["1"]}
    assert str(both(write_pair_certificate(tmp_path, pair))) == "Refused: header, header: unknown key 'semantics'"

    def simulation(header: dict[str, Any]) -> None:
        for key in ("levels", "pairs", "shifts", "difference"):
            del header[key]

    path = write_pair_certificate(tmp_path, line_pair(Fraction(0)), simulation)
    assert str(both(path)) == "Refused: header, header: unknown key 'semantics'"
