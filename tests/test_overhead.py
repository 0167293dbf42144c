"""The benchmark of a call's overhead measures what it says."""

from __future__ import annotations

from benchmarks.overhead import WINE, Clock, measure, told, wine_points


def test_overhead_is_a_part_of_the_wall_time() -> None:
    calls = measure(WINE, *wine_points(20), jobs=1)
    assert {c.verdict for c in calls} == {"Holds"}
    assert all(0 < c.overhead < c.wall for c in calls)
    assert told("wine", calls).startswith("wine: 18 calls (18 Holds); median overhead ")


def test_stand_ins_within_each_other_are_counted_once() -> None:
    clock = Clock()
    inner = clock.around(lambda: clock.wall)
    assert clock.around(inner)() == 0.0  # the inner one added nothing yet
    assert clock.wall > 0.0
