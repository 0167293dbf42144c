"""Faults to plant in the arithmetic of engine and checker, one changed place each; `mutate_kernels.py` plants them.

The old text must occur exactly once in its file, so that the list cannot go stale without saying so
(`tests/test_kernel_faults.py`). None of them is equivalent: each makes some bound wrong, or makes an arithmetic differ from the
format in some bit. Left out is what nobody could observe: to search on where a row reaches its threshold exactly (the goal is
closed all the same), the lower end min(0, l) in place of 0 for a difference from an inactive neuron (the other end of the
maximum is >= 0 then), and which of two mixtures is kept whose values tie, which takes an accident among doubles.
"""

from __future__ import annotations

import ast
from typing import NamedTuple

__all__ = ["FAULTS", "Fault"]


class Fault(NamedTuple):
    """`old` becomes `new` in `file`, which is relative to engine/secateur, or to the repository if it is one of the tests."""

    file: str
    old: str
    new: str

    @property
    def path(self) -> str:
        """The file, relative to the repository."""
        return self.file if self.file.startswith("tests/") else f"engine/secateur/{self.file}"

    @property
    def package(self) -> str:
        """Whose tests have to notice it."""
        return self.file.split("/")[-2]

    def unfit(self, text: str) -> str:
        """Why the fault cannot be planted in the text of its file, "" where it can."""
        if text.count(self.old) != 1:
            return f"{self.file}: {self.old!r} occurs {text.count(self.old)} times, not once"
        try:
            planted = ast.dump(ast.parse(text.replace(self.old, self.new)))
        except SyntaxError as error:
            return f"{self.file}: with {self.new!r} it is no Python any more: {error.msg}"
        return "" if planted != ast.dump(ast.parse(text)) else f"{self.file}: {self.new!r} changes nothing"


def _in(file: str, *changes: tuple[str, str]) -> list[Fault]:
    return [Fault(file, old, new) for old, new in changes]


_PLAIN = [
    *_in(
        "checker/python_arithmetic.py",
        ("bias - error -", "bias -"),
        ("charge = ceil_shift(source.total, grid - e - 1 - self._grid[h])", "charge = 0"),
        ("bias = floor_shift(", "bias = ceil_shift("),
        ("(lo if x > 0 else hi), grid - e - 24)", "(lo if x < 0 else hi), grid - e - 24)"),
        ("total = sum(floor_shift(x", "total = sum(ceil_shift(x"),
        (", magnitude) >= VOID", ") >= VOID"),
        ("lower[i] = max(below, ", "lower[i] = min(below, "),
        ("-_on_grid(greatest.value, grid)", "_on_grid(-greatest.value, grid)"),
        ("d = need // abs(a) + 1", "d = need // abs(a)"),
        ("need = ceil_shift(-row.value", "need = floor_shift(-row.value"),
        ("open_ and above > -below", "open_ and above >= -below"),
        ("row.value > best.value", "row.value >= best.value"),
        ("gain *= 0.75", "gain *= 0.5"),
        ("children=(first, replace(node, low=second_low, lower=copies[0], upper=copies[1]))",
         "children=(replace(node, low=second_low, lower=copies[0], upper=copies[1]), first)"),
        ("if high - low >= 2 else", "if high - low >= 1 else"),
        ("* source.error", "+ source.error"),
        ("zip([*reach, 1.0]", "zip([*reach, 0.0]"),
        ("shift = 24 + row.exponent", "shift = 25 + row.exponent"),
        ("if not differences[i].linear}", "if differences[i].linear}"),
        ("return None if _empty(kept) else kept", "return kept"),
        ("low = [max(ends) for", "low = [min(ends) for"),
    ),
    *_in(
        "checker/relaxation.py",
        ("* factors[a < 0])", "* factors[a > 0])"),
        ("min(0, _scaled_floor(-mu, below, shift), _scaled_floor(a - mu, above, shift))",
         "min(0, _scaled_floor(-mu, above, shift), _scaled_floor(a - mu, below, shift))"),
        ("min(0, _scaled_floor(-mu, near, shift), _scaled_floor(a - mu, far, shift))", "min(0, _scaled_floor(-mu, near, shift))"),
        ("return 0, _scaled_floor(a, difference.low if rising", "return 0, _scaled_floor(a, difference.low if not rising"),
        ("(greatest, least) if rising else (least, greatest)", "(least, greatest) if rising else (greatest, least)"),
        ("return 1.0 if value > 1.0 else", "return 2.0 if value > 2.0 else"),
        ("return slope * z if a >= 0 else", "return slope * z if a > 0 else"),
        ("return floor_shift(factor * numerator", "return -floor_shift(-factor * numerator"),
    ),
    *_in(
        "checker/differences.py",
        ("self.low <= self.least * 0.5", "self.low < self.least * 0.5"),
        ("self.high >= self.greatest * 0.5", "self.high > self.greatest * 0.5"),
        ("(self.low <= middle", "(self.low < middle"),
        ("else self.high >= middle)", "else self.high > middle)"),
        ("SLACK = 2.0**-50", "SLACK = 2.0**-51"),
        ("down24_double((x + y) - SLACK", "down24_double((x + y) + SLACK"),
        ("-max(0.0, high))", "-max(0.0, low))"),
        ("upper <= -high,", "upper <= -low,"),
        ("if lower == upper == 0.0", "if lower == upper == 1.0"),
    ),
    *_in(
        "checker/mixing.py",
        ("step = step * 0.93", "step = step * 0.94"),
        ("total < 0.0)", "total <= 0.0)"),
    ),
    *_in(
        "checker/root.py",
        ("            least += weight * above", "            least += weight * below"),
        ("row[-1] << shift", "row[-1]"),
        ("upper[neuron] = min(upper[neuron], 0.0)", "upper[neuron] = max(upper[neuron], 0.0)"),
        ("upper = [up24(value", "upper = [down24(value"),
        ("(high > 0) if", "(high >= 0) if"),
        ("del self._intervals[claim.layer :]", "del self._intervals[claim.layer + 1 :]"),
    ),
    *_in(
        "checker/chain.py",
        ("if symbol in signed)", "if symbol not in signed)"),
        ("exponent = 27 - ", "exponent = 28 - "),
        ("inexact = any(", "inexact = all("),
        ("values[width] += value * self.lower[symbol - 1]", "values[width] = value * self.lower[symbol - 1]"),
        ("if k < last[s]]", "if k <= last[s]]"),
    ),
    *_in(
        "checker/walk.py",
        ("waiting.pop()] = position + 1", "waiting.pop(0)] = position + 1"),
        ("((second[position], other), (position + 1, first))", "((second[position], first), (position + 1, other))"),
        ("if position > failed:", "if position < failed:"),
    ),
    *_in(
        "checker/refutation.py",
        ("return min(0, ends) if low < 0 < high else ends", "return ends"),
        ("a * max(0, high) - mu * high", "a * max(0, high) + mu * high"),
        ("else a if low >= 0 else 0", "else a if high >= 0 else 0"),
        ("terms.get(symbol, 0) + mu * c", "terms.get(symbol, 0) - mu * c"),
        ("(region.low if c > 0 else region.high)", "(region.high if c > 0 else region.low)"),
        ("(bounds[symbol][0], min(bounds[symbol][1], 0))", "(bounds[symbol][0], max(bounds[symbol][1], 0))"),
        ("least > 0 or (least == 0 and strict)", "least > 0 or least == 0"),
        ("weight > 0 and row.strict", "row.strict"),
        ("if left[number] == 0:", "if left[number] <= 1:"),
        ("waiting += [-other for other in own", "waiting += [other for other in own"),
    ),
    *_in(
        "checker/slack.py",
        ("max(0, (largest - 1).bit_length() - SLACK_BITS)", "max(0, (largest - 1).bit_length() - SLACK_BITS - 1)"),
        ("if largest >= LIMIT:", "if largest >= 2 * LIMIT:"),
        ("if s <= inputs)", "if s < inputs)"),
    ),
    *_in(
        "checker/nodes.py",
        ("weight >= 1 and not threshold", "weight >= 0 and not threshold"),
        ("VOID = 1 << 46", "VOID = 1 << 47"),
    ),
]  # fmt: skip

_COMPILED = [
    *_in(
        "checker/fast_rows.py",
        ("error, charge = np.ceil(", "error, charge = np.floor("),
        ("charge = np.ceil(total_reach", "charge = np.floor(total_reach"),
        ("abs(bias) < VOID_DOUBLE and ", ""),
        (
            "low, high = -multiplier[j] * lower[j], (own[j] - multiplier[j]) * upper[j]",
            "low, high = -multiplier[j] * upper[j], (own[j] - multiplier[j]) * lower[j]",
        ),
        ("1.0 if above > -below else", "1.0 if above >= -below else"),
        ("d = np.ceil(d * power", "d = np.floor(d * power"),
        ("math.frexp(d)[1] - 16", "math.frexp(d)[1] - 17"),
        ("d = system.bias_delta[k]", "d = 0.0"),
        ("work.reach[j] = max(-below, above, 0.0)", "work.reach[j] = max(above, 0.0)"),
    ),
    *_in(
        "checker/fast_kernels.py",
        ("int(need) // int(size) + 1)", "int(need) // int(size))"),
        ("-down24(work.value[r + 1] * scale)", "down24(-work.value[r + 1] * scale)"),
        ("if work.value[row] > work.best_value[lane]", "if work.value[row] >= work.best_value[lane]"),
        ("1.0 if slope > 1.0 else", "2.0 if slope > 2.0 else"),
        ("needed[system.partner[s + i]] = 1", "needed[system.partner[s + i]] = 0"),
        ("work.mix[r] >= 1.0", "work.mix[r] >= 0.0"),
        ("pool.high[slot, coordinate] = pool.low[spare, coordinate]",
         "pool.low[slot, coordinate] = pool.high[spare, coordinate]"),
        ("if work.best_value[lane] >= _threshold(", "if work.best_value[lane] > _threshold("),
        ("copy(work.a[row, : system.size[0]], work.best[lane])", "copy(work.a[0, : system.size[0]], work.best[lane])"),
        ("_improve(system, work, k, box, gain, r)", "_improve(system, work, k, box, gain, rows)"),
        ("work.lane[rows] = work.lane[r]", "work.lane[rows] = r"),
        ("if count and not (single and ", "if count and not ("),
        ("if not single or count == LANES:", "if count == LANES:"),
        ("gain = gain + tilt[r, i] * upper[i]", "gain = gain - tilt[r, i] * upper[i]"),
    ),
    *_in(
        "checker/fast_differences.py",
        ("_SLACK = 2.0**-50", "_SLACK = 2.0**-51"),
        ("values[0] <= least * 0.5", "values[0] < least * 0.5"),
        ("values[1] >= most * 0.5", "values[1] > most * 0.5"),
        ("values[0] <= middle", "values[0] < middle"),
        ("upper[j] <= -high, lower[j]", "upper[j] < -high, lower[j]"),
        ("work.rise_near[place], work.rise_far[place] = most, least",
         "work.rise_near[place], work.rise_far[place] = least, most"),
    ),
]  # fmt: skip

_ENGINE = [
    *_in(
        "bounds/rows.py",
        ("s.terms[j] = np.ceil(net.deltas", "s.terms[j] = np.floor(net.deltas"),
        ("_sum_exact(s.terms, size) + np.ceil(net.deltas[column + size] * fine)", "_sum_exact(s.terms, size)"),
        ("loss += factor * s.slack", "loss = factor * s.slack"),
        ("np.floor(a * (low[j] if a > 0.0 else high[j]) * unit)", "np.ceil(a * (low[j] if a > 0.0 else high[j]) * unit)"),
        ("-floor_to_bits(-total, _CHARGE_BITS)", "floor_to_bits(total, _CHARGE_BITS)"),
        ("row[count] = source[bias]", "row[count] = 0.0"),
        ("if last >= extent:", "if last > extent:"),
    ),
    *_in(
        "tests/bounds/plain_microkernel.py",
        ("constant - charge - rounded - loss", "constant - charge - loss"),
        ("- rounded - loss", "- rounded"),
        ("charge = np.ceil(", "charge = np.floor("),
        ("loss = np.ceil(", "loss = np.floor("),
        ("sound & (np.abs(constant) < VOID) & ", "sound & "),
        (" & (loss < VOID)", ""),
        ("spread - cost < VOID", "-cost < VOID"),
        ("constants + (cost + extra)", "constants + cost"),
    ),
    *_in(
        "bounds/slack.py",
        ("sums[i] = np.ceil(matrix[size, i] * fine)", "sums[i] = 0.0"),
        ("sums[i] += np.ceil(column", "sums[i] += np.floor(column"),
        ("np.float64(largest - 1.0)", "np.float64(largest)"),
        ("sums[i] = np.ceil(sums[i] * unit)", "sums[i] = np.floor(sums[i] * unit)"),
        ("return largest < EXACT", "return True"),
        ("losses[lane] += abs(row[lane]) * own", "losses[lane] += row[lane] * own"),
    ),
    *_in(
        "bounds/relaxing.py",
        ("return max(0.0, high, -low)", "return max(0.0, high)"),
        ("= net.scales[column + j]", "= net.scales[column + count]"),
        ("low, high), high / (high - low))", "low, high), -low / (high - low))"),
        ("slopes[4, j], slopes[5, j] = above, below", "slopes[4, j], slopes[5, j] = below, above"),
        ("1.0 if high > -low", "1.0 if high >= -low"),
        ("s.magnitudes[lane] += abs(term)", "s.magnitudes[lane] += term"),
        ("s.totals[lane] += term", "s.totals[lane] = term"),
    ),
    *_in(
        "bounds/refresh.py",
        ("np.float32(-floor_to_bits(s.constants[r + 1], BITS) * unit)",
         "np.float32(floor_to_bits(-s.constants[r + 1], BITS) * unit)"),
        ("s.wanted[partner] = s.wanted[partner] or not", "s.wanted[partner] = s.wanted[partner] and not"),
        ("return not (known[0] and known[2])", "return not (known[1] and known[3])"),
    ),
    *_in(
        "bounds/goals.py",
        ("d = np.floor(need / size) + 1.0", "d = np.floor(need / size)"),
        ("if value > s.best[place]:", "if value >= s.best[place]:"),
        ("s.new_low[i] = min(s.new_low[i], s.keep_low[i])", "s.new_low[i] = max(s.new_low[i], s.keep_low[i])"),
        ("left, step = going, step * _STEP_DECAY", "left, step = going, step * 0.5"),
        ("targets if mixed else left, net", "targets, net"),
        ("s.signs[going] = s.targets[r], s.signs[r]", "s.signs[going] = s.targets[r], s.signs[going]"),
        ("s.places[going] = place", "s.places[going] = going"),
        ("if it == 0:", "if True:"),
    ),
    *_in(
        "bounds/mixing.py",
        ("constant -= min(0.0, a)", "constant += min(0.0, a)"),
        ("s.mix[r] >= 1.0 and", "s.mix[r] >= 0.0 and"),
    ),
    *_in(
        "bounds/differences.py",
        ("_SLACK = 2.0**-50", "_SLACK = 2.0**-51"),
        ("least <= below * 0.5", "least < below * 0.5"),
        ("most >= above * 0.5", "most > above * 0.5"),
        ("least <= (low + high) * 0.5", "least < (low + high) * 0.5"),
        ("high <= -partner_high * growth", "high < -partner_high * growth"),
    ),
    *_in(
        "bounds/propagation.py",
        ("min(1.0, max(0.0, moved))", "max(0.0, moved)"),
        ("upward if coefficients[i] >= 0.0 else", "upward if coefficients[i] > 0.0 else"),
        ("total = matrix[m, i] * scales[m]", "total = 0.0"),
        ("c, min(n, c + PANEL_COLUMNS))", "c, min(n - 1, c + PANEL_COLUMNS))"),
    ),
    *_in(
        "bounds/columns.py",
        ("np.ldexp(0.5, -exponents", "np.ldexp(0.25, -exponents"),
        ("2 * rest == denominator and quotient % 2 == 1", "2 * rest == denominator and quotient % 2 == 0"),
    ),
    *_in(
        "bounds/root.py",
        ("- spread\n    rounded, units", "+ spread\n    rounded, units"),
        ("return np.floor(values / units) * units, units", "return np.rint(values / units) * units, units"),
        ("math.nextafter(value, -math.inf) if math.fsum([*terms, -value]) < 0.0 else value", "value"),
        ("0.0 - below(-x, -y)", "below(x, y)"),
        ("2.0**-50 * (np.abs(x)", "2.0**-51 * (np.abs(x)"),
    ),
    *_in("bounds/powers.py", ("np.floor(value * power(bits - e))", "np.rint(value * power(bits - e))")),
]  # fmt: skip

FAULTS = [*_PLAIN, *_COMPILED, *_ENGINE]
