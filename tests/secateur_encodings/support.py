"""Small random problems, and an exact decision procedure that shares nothing with any solver.

`feasible` enumerates all phases and eliminates the inputs by Fourier and Motzkin, in fractions.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

from hypothesis import strategies as st

from secateur_encodings import Interval, LinearForm, Problem, Relu, Row

__all__ = [
    "HARD_LIMIT",
    "Inequality",
    "eliminated",
    "feasible",
    "fractions",
    "hard_problem",
    "problems",
    "range_of",
]

#: sum of coefficient * input <= bound, or < where the flag is set.
Inequality = tuple[tuple[Fraction, ...], Fraction, bool]

SMALL = sorted({Fraction(n, d) for d in (1, 2, 3, 7) for n in range(-8, 9)}, key=abs)
LONG = [Fraction((-1) ** i * 3**k, 2 ** (k + i)) for i, k in enumerate((37, 41, 44, 50, 61, 75, 90))]
POOL = (*SMALL, *LONG)

#: Seconds in which no solver here decides `hard_problem()`; they need minutes.
HARD_LIMIT = 0.5


def fractions() -> st.SearchStrategy[Fraction]:
    """Mostly small rationals; some with as many digits as a composed network has.

    One draw from a fixed pool: hypothesis spends its time on draws, and a problem needs dozens.
    """
    return st.sampled_from(POOL)


def range_of(form: LinearForm, ranges: Sequence[Interval]) -> Interval:
    """The values of a form by interval arithmetic."""
    parts = [sorted((c * ranges[v].lower, c * ranges[v].upper)) for v, c in form.terms]
    return Interval(form.constant + sum(p[0] for p in parts), form.constant + sum(p[1] for p in parts))


@st.composite
def _forms(draw: st.DrawFn, variables: int) -> LinearForm:
    coefficients = draw(st.lists(fractions(), min_size=variables, max_size=variables))
    return LinearForm.of(dict(enumerate(coefficients)), draw(fractions()))


@st.composite
def problems(draw: st.DrawFn, *, max_inputs: int = 2, max_relus: int = 3) -> Problem:
    """Problems whose ReLU bounds are true, now and then with one phase imposed, and with one or two rows.

    The bound of a row is often the exact value at a corner: ties are where encodings go wrong.
    """
    inputs = []
    for _ in range(draw(st.integers(1, max_inputs))):
        inputs.append(Interval(*sorted((draw(fractions()), draw(fractions())))))
    ranges, relus = list(inputs), []
    for _ in range(draw(st.integers(0, max_relus))):
        pre = draw(_forms(len(ranges)))
        bounds = range_of(pre, ranges)
        if bounds.lower < 0 < bounds.upper and draw(st.integers(0, 4)) == 0:
            bounds = draw(st.sampled_from([Interval(bounds.lower, Fraction(0)), Interval(Fraction(0), bounds.upper)]))
        relus.append(Relu(pre, bounds.lower, bounds.upper))
        ranges.append(relus[-1].output_range)
    free = Problem(tuple(inputs), tuple(relus))
    rows = []
    for _ in range(draw(st.integers(1, 2))):
        form = draw(_forms(len(ranges)))
        corner = [draw(st.sampled_from([x.lower, x.upper])) for x in inputs]
        bound = draw(st.one_of(fractions(), st.just(form.value(free.evaluate(corner)))))
        rows.append(Row(form, bound, draw(st.booleans())))
    return Problem(free.inputs, free.relus, tuple(rows))


def feasible(problem: Problem) -> bool:
    """Whether the problem has a solution."""
    phases = itertools.product((False, True), repeat=len(problem.relus))
    return any(eliminated(_with_phases(problem, active)) for active in phases)


def _with_phases(problem: Problem, active: Sequence[bool]) -> list[Inequality]:
    """The problem on the inputs at which these ReLUs have z >= 0 and the others z <= 0."""
    size = len(problem.inputs)
    unit = [tuple(Fraction(int(i == j)) for j in range(size)) for i in range(size)]
    values = [(u, Fraction(0)) for u in unit]  # of each variable: coefficients over the inputs, and a constant
    found: list[Inequality] = []

    def composed(form: LinearForm) -> tuple[tuple[Fraction, ...], Fraction]:
        coefficients = tuple(sum((c * values[v][0][i] for v, c in form.terms), Fraction(0)) for i in range(size))
        return coefficients, form.constant + sum((c * values[v][1] for v, c in form.terms), Fraction(0))

    def at_most(coefficients: Sequence[Fraction], bound: Fraction, *, strict: bool = False) -> None:
        found.append((tuple(coefficients), bound, strict))

    def between(coefficients: Sequence[Fraction], constant: Fraction, low: Fraction, high: Fraction) -> None:
        at_most(coefficients, high - constant)
        at_most([-c for c in coefficients], constant - low)

    for u, interval in zip(unit, problem.inputs, strict=True):
        between(u, Fraction(0), interval.lower, interval.upper)
    for relu, is_active in zip(problem.relus, active, strict=True):
        coefficients, constant = composed(relu.pre)
        between(coefficients, constant, relu.lower, relu.upper)
        if is_active:
            at_most([-c for c in coefficients], constant)
            values.append((coefficients, constant))
        else:
            at_most(coefficients, -constant)
            values.append(((Fraction(0),) * size, Fraction(0)))
    for row in problem.rows:
        coefficients, constant = composed(row.form)
        at_most(coefficients, row.bound - constant, strict=row.strict)
    return found


def eliminated(inequalities: Sequence[Inequality]) -> bool:
    """Whether linear inequalities have a common solution, by Fourier-Motzkin elimination."""
    width = len(inequalities[0][0])
    if width == 0:
        return all(bound > 0 if strict else bound >= 0 for _, bound, strict in inequalities)
    rest = [(c[:-1], b, s) for c, b, s in inequalities if c[-1] == 0]
    above = [(c, b, s) for c, b, s in inequalities if c[-1] > 0]
    below = [(c, b, s) for c, b, s in inequalities if c[-1] < 0]
    for (c, b, s), (d, e, t) in itertools.product(above, below):
        combined = tuple(x / c[-1] - y / d[-1] for x, y in zip(c[:-1], d[:-1], strict=True))
        rest.append((combined, b / c[-1] - e / d[-1], s or t))
    return eliminated(rest) if rest else True


def hard_problem(inputs: int = 30) -> Problem:
    """A partition puzzle without a solution, of two ReLUs per input; hard from about 20 inputs on.

    The first row, sum |x_i| >= `inputs`, leaves only the corners of the cube [-1, 1]^inputs; the others
    ask for a weighted sum of zero, but one weight is odd and the rest are even. |x| is relu(x) + relu(-x).
    """
    one = Fraction(1)
    relus, rows = [], []
    for i in range(inputs):
        relus += [Relu(LinearForm.of({i: sign}), -one, one) for sign in (one, -one)]
    absolute = {inputs + k: -one for k in range(2 * inputs)}
    rows.append(Row(LinearForm.of(absolute), Fraction(-inputs)))
    weights = [Fraction(2 * ((i * i * 7919 + 12345 * i) % 100003) + (1 if i == 0 else 2)) for i in range(inputs)]
    total = dict(enumerate(weights))
    rows.append(Row(LinearForm.of(total), Fraction(0)))
    rows.append(Row(LinearForm.of({v: -c for v, c in total.items()}), Fraction(0)))
    return Problem(tuple(Interval(-one, one) for _ in range(inputs)), tuple(relus), tuple(rows))
