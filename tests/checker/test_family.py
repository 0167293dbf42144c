"""Certificates about families of slices: accepted with the statement in words, true of all points, read as the format says."""

from __future__ import annotations

import copy
import random
import zlib
from collections import Counter
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secateur.checker import Accepted, CheckInputError, Refused, check, main
from secateur.checker.chain import ChainLayer, chain_form
from secateur.checker.evaluation import evaluate
from secateur.checker.family import implies
from secateur.checker.lowering import lower
from secateur.checker.pair_rows import broken_at
from secateur.checker.rowwise import lower_rowwise
from tests.checker.family_cases import (
    Changes,
    FamilyCase,
    agree,
    claim_of,
    decision,
    parts_of,
    random_family,
    sampled_points,
    simulation,
    write_family,
)
from tests.checker.support import dense_model, random_chain, random_layers
from tests.onnx_models import model_bytes, node


@cache
def produced(seed: int) -> FamilyCase:
    return random_family(seed, leaves=3 + seed % 3)


def family(seed: int) -> FamilyCase:
    return copy.deepcopy(produced(seed))


def kinds(case: FamilyCase) -> Counter[str]:
    return Counter(case.regions[number]["evidence"]["kind"] for number in case.leaves())


def holds(case: FamilyCase, seed: int, count: int = 12) -> bool:
    """Whether the statement is true at samples of every slice, faces and corners among them."""
    rng, claim, network = random.Random(seed), claim_of(case.claim), lower(case.original)
    reduced = [lower(data) for data in case.files]
    parts = [part for part in parts_of(case) if part.file is not None]
    for part in parts:
        for point in sampled_points(part.box, rng, count):
            y = evaluate(network, point)
            for other in parts:  # neighbours share a face, and both networks must do there
                inside = all(a <= x <= b for a, x, b in zip(other.box.lower, point, other.box.upper, strict=True))
                if inside and broken_at(claim, y, evaluate(reduced[other.file or 0], point)) is not None:
                    return False
    return True


@pytest.mark.parametrize("seed", range(15))
def test_families_are_accepted_in_both_arithmetics(seed: int, tmp_path: Path) -> None:
    case = family(seed)
    write_family(tmp_path, case)
    fast, exact = check(tmp_path), check(tmp_path / "family.secateur", arithmetic="exact", strict=True)
    assert isinstance(fast, Accepted)
    assert isinstance(exact, Accepted)
    assert fast.counts == exact.counts
    assert fast.statement.replace("fast", "exact") == exact.statement
    assert holds(case, seed)


def test_the_cases_cover_what_the_format_has() -> None:
    cases = [produced(seed) for seed in range(15)]
    assert {case.claim["kind"] for case in cases} == {"agree", "decision"}
    found = sum((kinds(case) for case in cases), Counter[str]())
    assert min(found["simulation"], found["difference"]) >= 10
    inner = [entry for case in cases for entry, node in zip(case.regions, case.nodes, strict=True) if isinstance(node, list)]
    assert sum(entry is None for entry in inner) >= 5
    assert sum(entry is not None for entry in inner) >= 5
    assert any(tree["uses"] > len(entry["interval"]) for case in cases for entry, tree in trees_of(case))
    assert any(len(case.files) < len(case.leaves()) for case in cases)
    claims = [case.regions[number]["claim"] for case in cases for number in case.leaves()]
    assert sum(claim["kind"] == "agree" and claim["tolerance"] != "0" for claim in claims) >= 3


def trees_of(case: FamilyCase) -> list[tuple[Any, Any]]:
    """The facts about N with their trees."""
    found = [entry.get("facts") if "evidence" in entry else entry for entry in case.regions if entry is not None]
    return [(own, tree) for own in found if own is not None for tree in own["trees"]]


def test_the_statement_says_what_was_verified(tmp_path: Path) -> None:
    verdict = check(write_family(tmp_path, family(1)))
    assert isinstance(verdict, Accepted)
    words = "Verified: for all x in D and every slice S that contains x, max |N(x) - N'_S(x)| <= 3/4, where N = net.onnx (sha256 "
    assert verdict.statement.startswith(words)
    assert "D = the box of 2 inputs in manifest.json (sha256 " in verdict.statement
    assert "4 slices in 4 networks" in verdict.statement
    verdict = check(write_family(tmp_path, family(4)))
    assert isinstance(verdict, Accepted)
    words = (
        "and every slice S that contains x, if an output of N is less than all others by more than 1/2, the same output of N'_S"
    )
    assert words in verdict.statement


# Soundness: whatever is done to an honest family, what is accepted is true.


def facts_in(entry: Any) -> list[Any]:
    """Where an entry holds facts: about N, and about N'."""
    if entry is None:
        return []
    if "evidence" not in entry:
        return [entry]
    return [own for own in (entry["facts"], entry["evidence"].get("reduced")) if own is not None]


def mutate(case: FamilyCase, rng: random.Random) -> None:
    """One change of any kind; the files' hashes are right again when the family is written."""
    leaf = case.regions[rng.choice(case.leaves())]
    entries = [own for entry in case.regions for own in facts_in(entry)]
    kind = rng.randrange(9)
    if kind == 0:
        case.claim["tolerance" if case.claim["kind"] == "agree" else "margin"] = rng.choice(["0", "1/100", "1/16"])
    elif kind == 1:
        leaf["claim"] = rng.choice([agree(), agree("1/100"), copy.deepcopy(case.claim)])
    elif kind == 2:  # another network for a slice
        case.nodes[rng.choice(case.leaves())] = rng.randrange(len(case.files))
    elif kind == 3:  # the facts, or the evidence, of another slice
        other = copy.deepcopy(case.regions[rng.choice(case.leaves())])
        key = rng.choice(["facts", "evidence", "claim"])
        leaf[key] = other[key]
    elif kind == 4:
        cut = rng.choice([node for node in case.nodes if isinstance(node, list)])
        cut[1] = str(Fraction(cut[1]) + Fraction(rng.randint(-3, 3), 20))
    elif kind == 5:
        own = rng.choice(entries)
        own["interval"].append([rng.randint(1, 2), rng.randrange(4), rng.choice(["active", "inactive"])])
    elif kind == 6:
        own = rng.choice(entries)
        claims = [*own["interval"], *(claim for tree in own["trees"] for claim in tree["claims"])]
        if claims:
            claim = rng.choice(claims)
            claim[2] = "active" if claim[2] == "inactive" else "inactive"
    elif kind == 7:
        weights = rng.randrange(len(case.files))
        case.files[weights] = case.original
    else:
        case.box = (["-5/4", "-3/4"], case.box[1])


@pytest.mark.parametrize("first", range(0, 300, 100))
def test_what_is_accepted_is_true(first: int, tmp_path: Path) -> None:
    found: Counter[str] = Counter()
    for seed in range(first, first + 100):
        case, rng = family(seed % 15), random.Random(seed)
        for _ in range(rng.randint(1, 2)):
            mutate(case, rng)
        verdict = check(write_family(tmp_path, case), arithmetic="exact")
        true = isinstance(verdict, Accepted) and holds(case, seed, 5)
        assert true or isinstance(verdict, Refused), seed
        found[type(verdict).__name__] += 1
    assert min(found[own] for own in ("Accepted", "Refused")) >= 15, found


# What is kept from box to box.


@pytest.mark.parametrize("seed", range(12))
def test_layers_that_are_kept_do_not_depend_on_the_box(seed: int) -> None:
    network, first, _ = random_chain(seed)
    _, second, _ = random_chain(seed + 3 * 100)
    if len(second.lower) != len(first.lower):
        second = type(first)(tuple(x - 1 for x in first.lower), tuple(x + Fraction(1, 3) for x in first.upper))
    kept: dict[int, ChainLayer] = {}
    for box in (first, second, first):
        assert chain_form(network, box, kept=kept) == chain_form(network, box)
    assert 1 not in kept
    reads_input_again = any(1 <= s <= network.input_size for layer in network.layers[1:] for row in layer.rows for s in row)
    assert len(kept) == len(network.layers) - 1 - reads_input_again


def test_networks_that_slices_share_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(family(seed) for seed in range(15) if len(produced(seed).files) < len(produced(seed).leaves()))
    write_family(tmp_path, case)
    lowered = []

    def counting(data: bytes) -> Any:
        lowered.append(data)
        return lower_rowwise(data)

    monkeypatch.setattr("secateur.checker.family.lower_rowwise", counting)
    assert isinstance(check(tmp_path, arithmetic="exact"), Accepted)
    assert sorted(lowered) == sorted(case.files)


# Claims that imply others.


@pytest.mark.parametrize(
    ("own", "claim", "expected"),
    [
        (agree(), agree(), True),
        (agree("1/2"), agree("1/2"), True),
        (agree("0.500001"), agree("1/2"), False),
        (agree("1/4"), decision("1/2"), True),
        (agree("0.2500001"), decision("1/2"), False),
        (agree(), decision("0", "argmin"), True),
        (decision("1/2"), decision("1/2"), True),
        (decision("1/3"), decision("1/2"), True),
        (decision("2/3"), decision("1/2"), False),
        (decision("0", "argmin"), decision("1/2"), False),
        (decision("0"), agree("100"), False),
    ],
)
def test_which_claims_imply_others(own: dict[str, str], claim: dict[str, str], expected: bool) -> None:
    assert implies(claim_of(own), claim_of(claim)) is expected


# Reading.


def deep_case(cuts: int) -> FamilyCase:
    """A comb: so many cuts on one path, and equal networks on all slices."""
    case = family(0)
    case.files = [case.original]
    case.nodes = [own for k in range(cuts, 0, -1) for own in ([0, str(Fraction(1, 2) * Fraction(k, cuts + 1))],)]
    case.nodes += [0] * (cuts + 1)
    empty = {"grid": [36, 36], "interval": [], "trees": [], "solver": []}
    leaf = {"facts": None, "claim": agree(), "evidence": {"kind": "simulation", "reduced": empty}}
    case.regions = [None] * cuts + [leaf] * (cuts + 1)
    return case


def test_paths_of_a_thousand_cuts_and_no_more(tmp_path: Path) -> None:
    verdict = check(write_family(tmp_path, deep_case(1000)), arithmetic="exact")
    assert isinstance(verdict, Accepted)
    assert "1,001 slices in 1 network;" in verdict.statement
    verdict = check(write_family(tmp_path, deep_case(1001)), arithmetic="exact")
    assert verdict == Refused("manifest", "nodes[1000]", "a path is longer than 1000 cuts")


def test_numbers_and_space_may_be_written_in_other_ways(tmp_path: Path) -> None:
    """Bounds as JSON numbers, cuts as decimals, white space between the entries."""
    case = family(0)
    case.box = ([-1, "-7.5e-1"], [0.75, "1"])  # type: ignore[list-item]
    changes = Changes(regions_text=lambda text: " \n" + text.replace("[", "[ ", 1).replace(", null", "\t,\r\nnull") + "\n")
    assert isinstance(check(write_family(tmp_path, case, changes)), Accepted)


def case_facts(case: FamilyCase, number: int) -> Any:
    """The facts about N at a leaf."""
    return case.regions[number]["facts"] or {"interval": [], "trees": []}


def test_a_solvers_word_is_named_and_refused_when_strict(tmp_path: Path) -> None:
    case = next(own for own in map(family, range(15)) if any(case_facts(own, n)["interval"] for n in own.leaves()))
    number = next(n for n in case.leaves() if case_facts(case, n)["interval"])
    entry = case.regions[number]
    (claim, *_), entry["facts"]["trees"] = entry["facts"]["interval"], []
    entry["facts"] |= {"interval": [], "solver": [{"claim": claim, "by": "z3 5.4.0"}]}
    case.nodes[number] = case.add(dense_model(random_layers((2, 5, 4, 3), np.random.default_rng(99))))  # another function
    case.regions[number]["evidence"] = {
        "kind": "difference", "levels": [1, 2], "pairs": "position", "shifts": [0, 0],
        "difference": {"grid": [36, 36, 36], "steps": 0, "symbols": [3]},
    }  # fmt: skip
    folder = write_family(tmp_path, case)
    verdict = check(folder)
    assert isinstance(verdict, Accepted)
    place = f"node {number} (slices/{case.nodes[number]}.onnx)"
    word = f"neuron {claim[1]} of layer {claim[0]} {claim[2]}"
    assert verdict.trusted == (
        f"{place}: {word} in the original network, by z3 5.4.0",
        f"{place}: 1 of the 1 nodes of the difference tree, by an LP or SMT solver",
    )
    assert verdict.statement.startswith("Verified, given the trusted facts named below: for all x in D")
    reason = f"'{word}' rests on the word of z3 5.4.0 alone"
    assert check(folder, strict=True) == Refused("solver", f"{place} original solver 0", reason)
    entry["facts"] = None
    reason = "1 of its leaves rest on the word of an LP or SMT solver alone"
    assert check(write_family(tmp_path, case), strict=True) == Refused("solver", f"{place} difference", reason)


# Networks that an evaluation of the family would read otherwise.


NOTHING: dict[str, Any] = {"grid": [], "interval": [], "trees": [], "solver": []}


def whole(network: bytes, original: bytes) -> FamilyCase:
    """One slice, the unit square, whose network is said to be equal to the original."""
    case = FamilyCase(original, (["0", "0"], ["1", "1"]), agree())
    case.nodes, case.files = [0], [network]
    case.regions = [{"facts": None, "claim": agree(), "evidence": simulation(NOTHING)}]
    return case


def identity(nodes: list[Any], stored: dict[str, Any], kind: int = 1) -> bytes:
    return model_bytes(nodes, stored, inputs={"x": ["n", 2]}, outputs={"y": ["n", 2]}, input_type=kind, output_type=kind)


PLAIN = identity([node("Identity", ["x"])], {})


def test_a_slice_that_mixes_the_rows_of_a_batch_is_refused(tmp_path: Path) -> None:
    shapes = {"s": np.int64([2, -1]), "t": np.int64([-1, 2])}
    scrambled = identity([node("Reshape", ["x", "s"], "a"), node("Transpose", ["a"], "b"), node("Reshape", ["b", "t"])], shapes)
    assert isinstance(check(write_family(tmp_path / "plain", whole(PLAIN, scrambled))), Accepted)
    refused = check(write_family(tmp_path / "mixed", whole(scrambled, PLAIN)))
    assert isinstance(refused, Refused)
    assert "rows of a batch might not be kept apart" in refused.reason
    assert "reduced node Reshape -> a" in refused.step


def test_a_slice_of_another_element_type_is_refused(tmp_path: Path) -> None:
    double = identity([node("Identity", ["x"])], {}, kind=11)
    refused = check(write_family(tmp_path, whole(double, PLAIN)))
    assert isinstance(refused, Refused)
    assert refused.reason == "its element type is not that of the original network"


def test_a_name_cannot_pass_for_another_part_of_the_statement(tmp_path: Path) -> None:
    folder = write_family(tmp_path / "family", whole(PLAIN, PLAIN))
    name = "net.onnx (sha256 0123), N' = f.onnx"
    (folder / name).write_bytes(PLAIN)
    accepted = check(folder, original=folder / name)
    assert isinstance(accepted, Accepted)
    assert "where N = net.onnx??sha256?0123???N????f.onnx (sha256 " in accepted.statement


# Files and the command.


@pytest.mark.parametrize("missing", ["family.secateur", "net.onnx", "manifest.json", "slices/0.onnx", "slices/1.onnx"])
def test_a_missing_file_is_bad_input_and_no_verdict(missing: str, tmp_path: Path) -> None:
    folder = write_family(tmp_path, family(1))
    (folder / missing).unlink()
    with pytest.raises(
        CheckInputError, match=r"cannot be read: No such file|holds neither certificate\.secateur nor fam"
    ) as caught:
        check(folder)
    assert "\n" not in str(caught.value)
    if missing != "family.secateur":
        assert missing in str(caught.value)


def test_the_manifest_may_lie_elsewhere_and_the_network_be_given(tmp_path: Path) -> None:
    (tmp_path / "proof").mkdir()
    folder = write_family(tmp_path, family(1), Changes(header=lambda own: own["manifest"].update(file="../manifest.json")))
    (folder / "family.secateur").rename(folder / "proof" / "family.secateur")
    (folder / "net.onnx").rename(folder / "moved.onnx")
    verdict = check(folder / "proof", original=folder / "moved.onnx")
    assert isinstance(verdict, Accepted)
    assert "N = moved.onnx" in verdict.statement


def test_the_command_tells_by_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_family(tmp_path, family(1))
    assert main([str(folder)]) == 0
    assert capsys.readouterr().out.startswith("Verified: for all x in D and every slice")
    for option in ("--reduced", "--query"):
        assert main([str(folder), option, str(folder / "net.onnx")]) == 2
        error = capsys.readouterr().err
        assert "is about a family of slices: no query or reduced network can be given" in error
    (folder / "certificate.secateur").write_bytes(b"")
    assert main([str(folder)]) == 2
    assert "holds both certificate.secateur and family.secateur: name the one to check" in capsys.readouterr().err


def test_progress_says_which_slice(tmp_path: Path) -> None:
    said: list[tuple[str, float | None]] = []
    case = family(2)
    check(write_family(tmp_path, case), progress=lambda text, share: said.append((text, share)))
    assert said[-1] == (f"{len(case.leaves())} of {len(case.leaves())} slices", 1.0)
    assert any(text.startswith("node ") and "difference: 1 of " in text for text, _ in said)


def test_nothing_larger_than_announced_is_ever_decompressed(tmp_path: Path) -> None:
    bomb = zlib.compress(b"[" + b" " * (1 << 24))
    assert len(bomb) < 1 << 15
    folder = write_family(tmp_path, family(0))
    data = (folder / "family.secateur").read_bytes()
    length = int.from_bytes(data[10:18], "little")
    header = data[18 : 18 + length].decode()
    start = header.index('"regions"')
    text = header[:start] + f'"regions": {{"length": 1000, "bytes": {len(bomb)}}}}}'
    own = data[:10] + len(text).to_bytes(8, "little") + text.encode() + bomb
    (folder / "family.secateur").write_bytes(own)
    assert check(folder) == Refused("container", "regions", "the stream holds more than the announced 1000 bytes")
