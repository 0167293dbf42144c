"""Scores: every case of the rules by hand, small tables by hand, and the published table of 2025 for ACAS Xu and cersyve."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from secateur.errors import InputError
from secateur.vnncomp.instances import read_benchmark
from secateur.vnncomp.results import ResultRow, witness_folder
from secateur.vnncomp.rules import RULES
from secateur.vnncomp.score import Claim, Standing, Tool, overall_table, points, read_tool, score, settle, standings_table
from secateur.vnncomp.verdicts import Status
from secateur.vnncomp.witness import WitnessStatus
from tests.vnncomp.tiny import TRUTH, make_benchmark

SAT, UNSAT = Status.SAT, Status.UNSAT
STRICT, CREDITED, FALSE = WitnessStatus.ESTABLISHES, WitnessStatus.CREDITED, WitnessStatus.WRONG


def claims(*said: Status | tuple[Status, WitnessStatus]) -> list[Claim]:
    pairs = [(one, None) if isinstance(one, Status) else one for one in said]
    return [Claim(f"tool{i}", status, 1.0, witness) for i, (status, witness) in enumerate(pairs)]


@pytest.mark.parametrize(
    ("said", "consensus", "truth", "worth"),
    [
        # the ground truth decides where no witness was replayed
        ([UNSAT, SAT], UNSAT, UNSAT, [10, -150]),
        ([UNSAT, SAT], SAT, SAT, [-150, 10]),
        ([Status.UNKNOWN, Status.TIMEOUT, Status.ERROR, SAT], SAT, SAT, [0, 0, 0, 10]),
        # a witness that needs no tolerance makes every unsat wrong, whatever the consensus
        ([UNSAT, (SAT, STRICT)], UNSAT, SAT, [-150, 10]),
        ([UNSAT, UNSAT, (SAT, STRICT), SAT], None, SAT, [-150, -150, 10, 10]),
        # one that needs a tolerance is credited, and says nothing of the others
        ([UNSAT, (SAT, CREDITED)], None, UNSAT, [10, 10]),
        ([UNSAT, (SAT, CREDITED)], UNSAT, UNSAT, [10, 10]),
        ([(SAT, CREDITED), SAT], None, SAT, [10, 10]),
        # a false, missing or malformed one costs, even where sat is true
        ([(SAT, FALSE), (SAT, STRICT)], SAT, SAT, [-150, 10]),
        ([(SAT, WitnessStatus.MISSING), (SAT, WitnessStatus.MALFORMED)], SAT, SAT, [-150, -150]),
        ([UNSAT, (SAT, FALSE)], None, UNSAT, [10, -150]),
        # what cannot be replayed scores nothing
        ([UNSAT, (SAT, WitnessStatus.UNSUPPORTED)], None, UNSAT, [10, 0]),
        # without either, the majority; a tie scores nothing
        ([UNSAT, UNSAT, SAT], None, UNSAT, [10, 10, -150]),
        ([UNSAT, SAT], None, None, [0, 0]),
        ([UNSAT], None, UNSAT, [10]),
        ([Status.TIMEOUT], None, None, [0]),
    ],
)
def test_what_is_true_and_what_a_claim_is_worth(
    said: Sequence[Status | tuple[Status, WitnessStatus]], consensus: Status | None, truth: Status | None, worth: list[int]
) -> None:
    made = claims(*said)
    assert settle(made, consensus) is truth
    assert [points(claim, truth) for claim in made] == worth


def tool(name: str, folder: Path, rows: Mapping[str, tuple[str, float]], category: str = "tiny") -> Tool:
    path = folder / f"{name}.csv"
    lines = [f"{category},./benchmarks/tiny/onnx/net.onnx,vnnlib/{q}.vnnlib,0.1,{said},{t}\n" for q, (said, t) in rows.items()]
    path.write_text("".join(lines))
    return read_tool(f"{name}={path}")


def test_a_table_by_hand(tmp_path: Path) -> None:
    benchmark = read_benchmark(make_benchmark(tmp_path / "tiny", truth=TRUTH))
    all_right = tool("all", tmp_path, {"a": ("sat", 1), "b": ("unsat", 2), "c": ("sat", 3), "d": ("unsat", 4)})
    faster = tool("faster", tmp_path, {"d": ("unsat", 1), "b": ("unsat", 1), "c": ("sat", 1), "a": ("sat", 1.5)})
    late = tool("late", tmp_path, {"a": ("sat", 20.5), "b": ("unsat", 19.5), "c": ("timeout", 20), "d": ("unknown", 1)})
    bad = tool("bad", tmp_path, {"a": ("unsat", 1), "b": ("unsat", 1), "c": ("error_exit_code_1", 1)}, category="2026_tiny_2023")
    notes: list[str] = []
    standings = score(benchmark, [all_right, late, bad, faster], RULES[2026], notes.append)
    assert standings == [
        Standing("faster", 2, 2, 0, 40, 100.0, 4, (1.5, 1.0, 1.0, 1.0)),
        Standing("all", 2, 2, 0, 40, 100.0, 4, (1.0, 2.0, 3.0, 4.0)),
        Standing("late", 1, 0, 0, 10, 25.0, 4, (19.5,)),
        Standing("bad", 1, 0, 1, -140, 0.0, 4, (1.0,)),
    ]
    assert notes == [f"{tmp_path}/bad.csv: no row for 1 of 4 instances of tiny"]
    in_2025 = {s.tool: (s.points, s.percent) for s in score(benchmark, [all_right, late], RULES[2025], notes.append)}
    assert in_2025 == {"all": (40, 100.0), "late": (20, 50.0)}
    assert standings_table(standings)[-1].split() == ["bad", "1", "0", "1", "-140", "0.0", "25.0", "%", "1.0"]
    assert [line.split() for line in overall_table([standings, standings[2:]])] == [
        ["tool", "score", "seconds"],
        ["faster", "100.0", "4.5"],
        ["all", "100.0", "10.0"],
        ["late", "50.0", "39.0"],
        ["bad", "0.0", "2.0"],
    ]


def test_nobody_with_points_has_a_percentage(tmp_path: Path) -> None:
    benchmark = read_benchmark(make_benchmark(tmp_path / "tiny", truth=TRUTH))
    standings = score(benchmark, [tool("none", tmp_path, {"a": ("unsat", 1)})], RULES[2026], lambda _: None)
    assert [(s.points, s.percent) for s in standings] == [(-150, 0.0)]


def test_witnesses_next_to_the_results_are_replayed(tmp_path: Path) -> None:
    # The ground truth of b is missing, that of a false: the witness of `right` settles a, nothing settles b against `right`.
    truth = TRUTH.replace("a.vnnlib,sat", "a.vnnlib,unsat").replace("b.vnnlib,unsat", "b.vnnlib,unknown")
    benchmark = read_benchmark(make_benchmark(tmp_path / "tiny", truth=truth))
    verdicts = {"a": ("sat", 1.0), "b": ("unsat", 1.0), "c": ("sat", 1.0), "d": ("unsat", 1.0)}
    right = tool("right", tmp_path, verdicts)
    liar = tool("liar", tmp_path, {**verdicts, "b": ("sat", 1.0)})
    (tmp_path / "elsewhere").mkdir()
    published = tool("published", tmp_path / "elsewhere", verdicts, category="tiny_2023")
    believer = tool("believer", tmp_path, {**verdicts, "a": ("unsat", 1.0)})
    ours = witness_folder(right.path) / "tiny"
    ours.mkdir(parents=True)
    (ours / "net_a.counterexample").write_text("((X_0 0.875)\n (Y_0 0.75))")
    (ours / "net_c.counterexample").write_text("((X_0 0.25)\n (Y_0 0.0))")
    false = witness_folder(liar.path) / "tiny"
    false.mkdir(parents=True)
    (false / "net_a.counterexample").write_text("((X_0 0.1)\n (Y_0 0.75))")
    (false / "net_b.counterexample").write_text("((X_0 1.00005)\n (Y_0 1.0001))")
    theirs = tmp_path / "elsewhere" / "2025_tiny_2023"
    theirs.mkdir()
    (theirs / "net_a.counterexample.gz").write_bytes(gzip.compress(b"((X_0 1)\n (Y_0 1.0))"))
    (theirs / "net_c.counterexample.gz").write_bytes(b"\x1f\x8bdamaged")
    notes: list[str] = []
    found = {s.tool: (s.points, s.wrong) for s in score(benchmark, [right, liar, published, believer], RULES[2026], notes.append)}
    assert found == {
        "right": (40, 0),
        "liar": (10 - 450, 3),  # false for a and b, missing for c
        "published": (30 - 150, 1),  # damaged for c
        "believer": (30 - 150, 1),  # unsat for a; has no witnesses, so its sat for c is judged by the truth
    }
    assert notes == ["net a: a replayed witness contradicts the ground truth unsat"]


def test_a_query_that_cannot_be_read_scores_nothing_and_is_told(tmp_path: Path) -> None:
    benchmark = read_benchmark(make_benchmark(tmp_path / "tiny", truth=TRUTH))
    made = tool("made", tmp_path, {"a": ("sat", 1.0), "b": ("unsat", 1.0)})
    folder = witness_folder(made.path) / "tiny"
    folder.mkdir(parents=True)
    (folder / "net_a.counterexample").write_text("((X_0 0.875)\n (Y_0 0.75))")
    (tmp_path / "tiny" / "vnnlib" / "a.vnnlib").write_text("(assert (>= X_0 1))")
    notes: list[str] = []
    (standing,) = score(benchmark, [made], RULES[2026], notes.append)
    assert (standing.points, standing.sat, standing.unsat) == (10, 0, 1)
    assert [note for note in notes if "a.vnnlib, line 1: unknown variable" in note]


def test_what_names_no_tool_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'tool\.csv' does not name a tool and its results; write name=results\.csv"):
        read_tool("tool.csv")
    with pytest.raises(InputError, match=r"nothing\.csv: cannot be read: No such file or directory"):
        read_tool(f"tool={tmp_path}/nothing.csv")


def published_votes(folder: Path, names: Sequence[str]) -> dict[str, list[ResultRow]]:
    """What each tool said of each instance in 2025, from the votes that the ground truth was made of (without times)."""
    with (folder / "ground_truth.csv").open() as stream:
        truth = list(csv.DictReader(stream))
    opposite = {"sat": "unsat", "unsat": "sat"}
    rows: dict[str, list[ResultRow]] = {name: [] for name in names}
    for line in truth:
        for name in names:
            said = "unknown"
            if f"{name}25" in line["agreeing_tools"].split():
                said = line["consensus"]
            elif f"{name}25" in line["dissenters"].split(";"):
                said = opposite[line["consensus"]]
            rows[name].append(ResultRow(folder.name, line["onnx"], line["vnnlib"], 0.0, said, 1.0))
    return rows


# unsat, sat, penalties, points, percent: VNN-COMP/vnncomp2025_results, SCORING-SMALL-TOL/latex/scored.tex
PUBLISHED = {
    "acasxu": {
        "nnenum": (139, 47, 0, 1860, 100.0),
        "neuralsat": (139, 47, 0, 1860, 100.0),
        "alpha_beta_crown": (139, 47, 0, 1860, 100.0),
        "pyrat": (139, 46, 0, 1850, 99.5),
        "cora": (137, 46, 0, 1830, 98.4),
        "sobolbox": (118, 43, 1, 1460, 78.5),
        "nnv": (71, 39, 0, 1100, 59.1),
    },
    "cersyve": {
        "alpha_beta_crown": (6, 6, 0, 120, 100.0),
        "neuralsat": (4, 6, 0, 100, 83.3),
        "pyrat": (2, 6, 0, 80, 66.7),
        "sobolbox": (0, 6, 0, 60, 50.0),
        "nnv": (0, 3, 0, 30, 25.0),
        "cora": (6, 5, 1, -40, 0.0),
    },
}


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_the_published_scores_of_2025(data_dir: Path, name: str) -> None:
    folder = data_dir / "vnncomp" / name
    votes = published_votes(folder, list(PUBLISHED[name]))
    tools = [Tool(tool, Path(f"{tool}.csv"), tuple(rows)) for tool, rows in votes.items()]
    standings = score(read_benchmark(folder), tools, RULES[2025], lambda _: None)
    found = {s.tool: (s.unsat, s.sat, s.wrong, s.points, round(s.percent, 1)) for s in standings}
    assert found == PUBLISHED[name]
