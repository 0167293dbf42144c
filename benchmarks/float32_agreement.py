"""How closely two networks are shown to agree in float32 arithmetic, and how closely they agree where one looks.

    python benchmarks/float32_agreement.py [--networks 1_1 3_3] [--timeout 20] [--data ../shared/data] [--work float32-out]

ACAS Xu networks, each against itself (only rounding makes a difference) and against its weights rounded to float16, on boxes in
the middle of the domain whose sides are a share of the domain's. For each: the smallest power of two that is proven within the
time limit for all float32 evaluations, with the certificate checked strictly; the same over the reals; and the largest
difference between onnxruntime's outputs and those of the other network in float64, at 10,000 points. Prints a table.
"""

from __future__ import annotations

import argparse
import os
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
from acasxu_float16 import twin

import secateur
from secateur.bounds import warmup
from secateur.network import read_onnx
from secateur.specification import Domain, read_domain

HERE = Path(__file__).resolve().parent
SHARES = (Fraction(1, 1000), Fraction(1, 100), Fraction(1, 20))
LEAST, MOST = -26, 0
POINTS = 10_000


def middle(domain: Domain, share: Fraction) -> Domain:
    """The box around the domain's middle with that share of its sides."""
    sides = [(low, high, (high - low) * (1 - share) / 2) for low, high in zip(domain.lower, domain.upper, strict=True)]
    return Domain(tuple(low + gap for low, _, gap in sides), tuple(high - gap for _, high, gap in sides))


def smallest(
    engine: secateur.Engine, pair: tuple[Path, Path], box: Domain, semantics: str, options: argparse.Namespace
) -> int | None:
    """The exponent of the smallest power of two that is proven, by bisection; None where 1 is not. Its certificate is checked."""
    target: Path = options.work / "agreement.secateur"
    target.unlink(missing_ok=True)

    def holds(exponent: int) -> bool:
        claim = Fraction(2) ** exponent
        verdict = engine.equivalent(*pair, box, epsilon=claim, semantics=semantics, timeout=options.timeout, certificate=target)
        return isinstance(verdict, secateur.Holds)

    if not holds(MOST):
        return None
    low, high = LEAST - 1, MOST  # not shown, shown
    while high - low > 1:
        tried = (low + high) // 2
        low, high = (low, tried) if holds(tried) else (tried, high)
    holds(high)
    outcome = secateur.check(target, strict=True)
    if not isinstance(outcome, secateur.Accepted):
        raise SystemExit(f"{target}: {outcome}")
    return high


def observed(pair: tuple[Path, Path], box: Domain) -> float:
    """The largest difference between the first network in onnxruntime and the second in float64, at random points."""
    import onnxruntime

    rng = np.random.default_rng(0)
    low, high = (np.array([float(v) for v in side]) for side in (box.lower, box.upper))
    points = rng.uniform(low, high, (POINTS, len(low))).astype(np.float32)
    session = onnxruntime.InferenceSession(str(pair[0]), providers=["CPUExecutionProvider"])
    port = session.get_inputs()[0]
    shape = [n if isinstance(n, int) else 1 for n in port.shape]
    outputs = np.array([session.run(None, {port.name: p.reshape(shape)})[0].ravel() for p in points])
    return float(np.abs(outputs - read_onnx(pair[1]).forward(points.astype(np.float64))).max())


def power(exponent: int | None) -> str:
    return "not 1" if exponent is None else f"2^{exponent}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=["1_1", "3_3"])
    parser.add_argument("--timeout", type=float, default=20.0, help="seconds for each question")
    parser.add_argument("--work", type=Path, default=Path("float32-out"), help="folder of rounded networks")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("SECATEUR_DATA", HERE.parent / ".." / "shared" / "data"))
    )
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    domain = read_domain(options.data / "domains" / "acasxu.json")
    print("| network | against | box | float32, proven | reals, proven | onnxruntime, seen |", "|---" * 6 + "|", sep="\n")
    warmup()
    with secateur.Engine() as engine:
        for name in options.networks:
            original = options.data / "vnncomp" / "acasxu" / "onnx" / f"ACASXU_run2a_{name}_batch_2000.onnx"
            for words, other in (("itself", original), ("its float16 weights", twin(original, options.work))):
                for share in SHARES:
                    box, pair = middle(domain, share), (original, other)
                    proven = [power(smallest(engine, pair, box, semantics, options)) for semantics in ("float32", "real")]
                    seen = f"{observed(pair, box):.1e}"
                    print(f"| {name} | {words} | {float(share):.1%} | {' | '.join(proven)} | {seen} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
