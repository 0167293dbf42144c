"""The ledger gives back what was filed, only for the same question, and nothing that is damaged."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import pytest

from secateur.certificate import LeafProof, WrittenFacts
from secateur.errors import InputError
from secateur.reduction.slicing.ledger import Ledger, SliceRecord, SliceStatistics, digest
from secateur.reduction.slicing.partition import Analysis
from secateur.specification import Domain
from secateur.specification.comparison import Agreement

FACTS = WrittenFacts(
    {
        "grid": [9],
        "interval": [[1, 0, "active"]],
        "trees": [{"claims": [[1, 1, "inactive"]], "steps": 1, "uses": 1, "nodes": 1, "bytes": 3}],
        "solver": [],
    },
    (b"abc",),
)
PROOF = LeafProof({"kind": "agree", "tolerance": "0"}, {"kind": "simulation", "reduced": {}}, (b"x", b""))
STATISTICS = SliceStatistics(7, 3, 1, 2, {"phase": 4}, 9, 0, 0.5, 0.25, 0.125, 1, 0.0)
RECORD = SliceRecord(FACTS, PROOF, b"network", STATISTICS, ((2, 5, -1), (3, 0, 1)))
EXACT, LOOSE = Agreement(Fraction(0)), Agreement(Fraction(1, 8))
BOX = Domain((Fraction(0),), (Fraction(1),))


def test_a_slice_comes_back_as_it_was(tmp_path: Path) -> None:
    ledger = Ledger.opened(tmp_path / "run")
    assert ledger.slice("x") is None
    ledger.keep("x", RECORD)
    found = Ledger(tmp_path / "run").slice("x")
    assert found is not None
    assert (found.facts, found.proof, found.data, found.statistics, found.undecided) == (
        FACTS, PROOF, b"network", RECORD.statistics, RECORD.undecided,
    )  # fmt: skip
    assert FACTS.claims == ((1, 0, 1), (1, 1, -1))


def test_a_damaged_slice_counts_as_missing(tmp_path: Path) -> None:
    ledger = Ledger.opened(tmp_path)
    ledger.keep("x", RECORD)
    path = tmp_path / "x.slice"
    whole = path.read_bytes()
    for damaged in (b"", whole[:40], whole[:-1], whole[:-1] + b"?", bytes([whole[0] ^ 1]) + whole[1:]):
        path.write_bytes(damaged)
        assert ledger.slice("x") is None
        assert ledger.statistics("x") is None


def test_first_looks_survive_a_torn_line(tmp_path: Path) -> None:
    ledger = Ledger.opened(tmp_path)
    ledger.note("a", Analysis(FACTS, 5, 3))
    ledger.note("b", Analysis(WrittenFacts(None), 0, None))
    path = tmp_path / "regions.jsonl"
    path.write_text(path.read_text() + '{"name": "c", "facts": {"ent')
    again = Ledger.opened(tmp_path)
    assert again.analysis("a") == Analysis(FACTS, 5, 3)
    assert again.analysis("b") == Analysis(WrittenFacts(None), 0, None)
    assert again.analysis("c") is None
    again.note("c", Analysis(FACTS, 1, 1))
    assert Ledger.opened(tmp_path).analysis("c") == Analysis(FACTS, 1, 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_told_in_one_line(tmp_path: Path) -> None:
    ledger = Ledger.opened(tmp_path / "run")
    (ledger.folder / "regions.jsonl").symlink_to("/dev/full")
    expected = "; what was done is kept; the same command goes on from there$"
    with pytest.raises(InputError, match=rf"^work folder {ledger.folder}: cannot be used: No space left on device{expected}"):
        ledger.note("a", Analysis(FACTS, 5, 3))
    shutil.rmtree(ledger.folder)
    with pytest.raises(InputError, match=rf"^work folder {ledger.folder}: cannot be used: No such file or directory{expected}"):
        ledger.stop()


def test_another_question_has_another_name() -> None:
    other = Domain((Fraction(0),), (Fraction(2),))
    names = {
        digest("n", BOX, (), EXACT, 0),
        digest("m", BOX, (), EXACT, 0),
        digest("n", other, (), EXACT, 0),
        digest("n", BOX, ((1, 0, 1),), EXACT, 0),
        digest("n", BOX, (), EXACT, 1),
        digest("n", BOX, (), LOOSE, 0),
    }
    assert len(names) == 6
    assert digest("n", BOX, (), EXACT, 0) in names


def test_a_new_run_takes_back_the_stop_of_the_last(tmp_path: Path) -> None:
    ledger = Ledger.opened(tmp_path)
    ledger.stop()
    assert Ledger(tmp_path).stopped
    assert not Ledger.opened(tmp_path).stopped
