"""Networks with a planted counterexample: never `Holds`; their twins: never `Violated`; and some of both are decided."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import secateur
from benchmarks.planted import WRONG, ask
from benchmarks.planting import MARGINS, Planted, evaluate, plant

SEEDS = range(4)


@pytest.fixture(scope="module")
def planted() -> dict[int, Planted]:
    return {seed: plant(seed, largest=6, width=8) for seed in SEEDS}


def test_nothing_that_is_planted_is_overlooked_and_twins_are_proven(planted: dict[int, Planted], tmp_path: Path) -> None:
    counts: Counter[tuple[str, str]] = Counter()
    with secateur.Engine(jobs=1) as engine:
        for seed, made in planted.items():
            for kind, answer in ask(engine, made, tmp_path, timeout=4.0):
                assert answer != WRONG[kind], (seed, kind)
                counts[kind, answer] += 1
    assert counts["planted", "violated"] >= 1
    assert counts["removed", "holds"] >= 1


def test_every_margin_is_planted(planted: dict[int, Planted]) -> None:
    assert {made.margin for made in planted.values()} == set(MARGINS)
    for made in planted.values():
        assert evaluate(made.layers, made.point) == made.height > made.threshold
        if made.margin == "ulp":
            assert np.nextafter(np.float32(made.threshold), np.float32(9)) == np.float32(made.height)


@pytest.mark.parametrize("seed", range(3))
def test_twins_differ_only_in_the_spike(planted: dict[int, Planted], seed: int) -> None:
    """One number per twin: the bias of the spike's neuron, scaled as that neuron is."""
    made = planted[seed]
    for twin in (made.removed, made.thin):
        changed = [
            np.count_nonzero(a != b) for old, new in zip(made.layers, twin, strict=True) for a, b in zip(old, new, strict=True)
        ]
        assert sum(changed) == 1


def test_sampling_does_not_find_it() -> None:
    """At the size that the benchmark uses."""
    rng = np.random.default_rng(0)
    for made in map(plant, range(3)):
        values = rng.uniform(-1, 1, (10_000, len(made.point))).T
        for weight, bias in made.layers[:-1]:
            values = np.maximum(weight @ values + bias[:, None], 0)
        weight, bias = made.layers[-1]
        assert (weight @ values + bias[:, None]).max() < float(made.threshold) / 2
