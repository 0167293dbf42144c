"""Slices of a family that processes share: the same verdict, the same refusal, and an end whatever happens to one of them."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from secateur.checker import Accepted, CheckInputError, Refused, check
from secateur.checker import family as family_module
from secateur.checker.refusal import Refusal
from secateur.checker.shares import Share, shared
from tests.checker.family_cases import random_family, write_family
from tests.forged.family_case import honest
from tests.forged.test_forged_families import FORGERIES


@pytest.fixture(autouse=True)
def _small_families_are_worth_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family_module, "LEAST_EACH", 1)


@pytest.mark.parametrize("seed", [0, 1])
def test_processes_accept_what_one_does(seed: int, tmp_path: Path) -> None:
    path = write_family(tmp_path, random_family(seed, leaves=6))
    told: list[str] = []
    alone = check(path)
    together = check(path, jobs=3, progress=lambda text, _: told.append(text))
    assert isinstance(alone, Accepted)
    assert together == alone
    assert told == [f"{number} of 6 slices" for number in range(1, 7)]


@pytest.mark.parametrize("name", random.Random(5).sample(sorted(FORGERIES), 8))
def test_processes_refuse_what_one_does(name: str, tmp_path: Path) -> None:
    case = honest()
    FORGERIES[name][0](case)
    path = write_family(tmp_path, case)
    alone = check(path)
    assert isinstance(alone, Refused)
    assert check(path, jobs=2) == alone


# --- the processes themselves


@dataclass
class Visit:
    """Visits nodes 0 .. 19, at some of which something happens."""

    at: dict[int, Callable[[], object]]

    def __call__(self, share: Share) -> list[int]:
        taken = []
        for number in range(20):
            if share.takes(number):
                taken.append(number)
                if number in self.at:
                    self.at[number]()
                share.done()
        return taken


@dataclass
class Refuse:
    after: float
    where: str

    def __call__(self) -> None:
        time.sleep(self.after)
        raise Refusal("rule", self.where, "it is wrong")


@dataclass
class Die:
    def __call__(self) -> None:
        os._exit(3)


def rest() -> None:
    time.sleep(0.2)


def nothing(_: int) -> None:
    """Progress that nobody asked for."""


def test_every_node_is_taken_once_and_all_are_told_of() -> None:
    told: list[int] = []
    parts = shared(Visit({}), 3, told.append)
    assert sorted(number for part in parts for number in part) == list(range(20))
    assert [part for part in parts if part != sorted(part)] == []
    assert told == list(range(1, 21))


def test_of_several_refusals_the_first_node_counts_though_it_comes_later() -> None:
    # Node 3 takes a second to be refused; whoever takes node 4 is refused at once.
    with pytest.raises(Refusal) as refused:
        shared(Visit({3: Refuse(1.0, "node 3"), 4: Refuse(0.0, "node 4")}), 2, nothing)
    assert refused.value.step == "node 3"


def test_nobody_begins_a_node_after_a_refusal() -> None:
    told: list[int] = []
    with pytest.raises(Refusal):
        shared(Visit({0: Refuse(0.0, "node 0"), **dict.fromkeys(range(1, 20), rest)}), 2, told.append)
    assert max(told, default=0) < 19


def test_a_process_that_dies_is_no_verdict() -> None:
    with pytest.raises(CheckInputError, match="a process of the check ended unexpectedly"):
        shared(Visit({2: Die()}), 2, nothing)


def test_somebody_has_to_check(tmp_path: Path) -> None:
    with pytest.raises(CheckInputError, match="jobs is 0, but somebody has to check"):
        check(write_family(tmp_path, honest()), jobs=0)
