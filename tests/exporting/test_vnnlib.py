"""Exported VNN-LIB, read again by Secateur's own readers and decided anew, and by Marabou; claims made false must be found so."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import secateur
from secateur.checker.container import read_certificate, symbols
from secateur.checker.records import Certificate
from secateur.cli import main
from secateur.exporting.graphs import forms_network, neuron_network
from secateur.network import parse_onnx
from secateur.search import Holds, Violated
from secateur.vnncomp.instances import read_benchmark, with_files
from tests.differences import network_pairs
from tests.exporting.certificates import (
    answers,
    claims,
    false_claim,
    false_facts,
    header,
    pair,
    query,
    refuted,
    with_header,
)
from tests.onnx_models import model_bytes, node

ROOT = Path(__file__).resolve().parents[2]
MARGINS = [{"epsilon": "0.1"}, {"decision": "argmax", "margin": "1/3"}, {"decision": "argmin", "margin": "1/3"}]


def exported(certificate: Path, out: Path) -> Path:
    """The folder of an export, both of whose tables name files that exist."""
    done = secateur.export(certificate, out)
    assert set(done.files) == {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    for folder in (out, out / "2.0"):
        if (folder / "instances.csv").exists():
            assert with_files(read_benchmark(folder)).instances
    return out


@pytest.mark.parametrize("claim", MARGINS)
def test_a_claim_about_two_networks_is_decided_again(tmp_path: Path, claim: dict[str, str]) -> None:
    certificate = pair(tmp_path / "in", **claim)
    folder = exported(certificate, tmp_path / "true")
    for version in ("1.0", "2.0"):
        assert set(answers(folder, version).values()) == {"unsat"}
    forged = exported(false_claim(certificate), tmp_path / "false")
    for version in ("1.0", "2.0"):
        assert answers(forged, version)["claim"] == "sat"


def test_facts_are_decided_again_and_equality_is_asked_with_a_stated_margin(
    pruned: Path, centre: tuple[Fraction, ...], tmp_path: Path
) -> None:
    folder = exported(pruned, tmp_path / "out")
    assert set(answers(folder, "2.0", "original_*").values()) == {"unsat"}
    false = exported(false_facts(pruned, centre), tmp_path / "false")
    for version in ("1.0", "2.0"):
        assert set(answers(false, version, "original_*").values()) == {"sat"}
    (flat,) = (entry for entry in claims(folder) if entry["vnnlib"] == "vnnlib/claim.vnnlib")
    assert "up to a margin of 0.0001 only" in flat["relation"]


def test_a_refuted_claim_and_queries_keep_their_answers(tmp_path: Path) -> None:
    assert answers(exported(refuted(tmp_path / "a", epsilon="0.01"), tmp_path / "ax"), "1.0") == {"claim": "sat"}
    assert answers(exported(query(tmp_path / "b", "(>= Y_0 90)", Holds), tmp_path / "bx"), "1.0") == {"query": "unsat"}
    assert answers(exported(query(tmp_path / "c", "(<= Y_0 90)", Violated), tmp_path / "cx"), "1.0") == {"query": "sat"}


def test_a_family_has_a_claim_for_each_slice(family: Path, tmp_path: Path) -> None:
    folder = exported(family, tmp_path / "out")
    assert [e["vnnlib"] for e in claims(folder) if e["version"] == "2.0"] == [f"2.0/vnnlib/slice{i}.vnnlib" for i in range(3)]


@given(network_pairs(), st.data())
@settings(deadline=None, max_examples=30)
def test_a_joined_network_means_exactly_what_the_two_mean(pairs: tuple, data: st.DataObject) -> None:  # type: ignore[type-arg]
    first, second, _ = pairs
    count = first.output_size + second.output_size
    forms = [((0, Fraction(1)), (count - 1, Fraction(-1)))]
    joined = parse_onnx(forms_network((first, second), forms), "joined.onnx")
    point = tuple(Fraction(data.draw(st.integers(-8, 8)), 4) for _ in range(first.input_size))
    both = [*first.exact(point).output, *second.exact(point).output]
    assert joined.exact(point).output == (both[0] - both[-1],)
    layer = data.draw(st.integers(1, len(first.layers))) if first.layers else 0
    if layer:
        (z,) = neuron_network(first, layer, 0).exact(point).output
        assert z == first.exact(point).pre_activations[layer - 1][0]


def test_two_plain_networks_join_to_a_plain_one_with_their_own_weights(tmp_path: Path) -> None:
    certificate = pair(tmp_path / "in")
    model = onnx.load(exported(certificate, tmp_path / "out") / "onnx" / "claim.onnx")
    assert {node.op_type for node in model.graph.node} == {"Gemm", "Relu"}
    stored = [onnx.numpy_helper.to_array(t) for t in model.graph.initializer]
    assert {array.dtype for array in stored} == {np.dtype(np.float32)}
    files = [parse_onnx((tmp_path / "in" / name).read_bytes(), name) for name in ("a.onnx", "b.onnx")]
    own = {w for f in files for a in (*f.layers, f.output) for w in (*a.bias.tolist(), *a.terms[0].map.dense().weight.ravel())}
    assert {w for array in stored for w in array.astype(np.float64).ravel().tolist()} <= own | {0.0, 1.0, -1.0}


def test_json_holds_the_trees_unpacked(pruned: Path, tmp_path: Path) -> None:
    secateur.export(pruned, tmp_path / "out.json", form="json")
    content = json.loads((tmp_path / "out.json").read_text())
    certificate = read_certificate(pruned.read_bytes())
    assert isinstance(certificate, Certificate)
    trees = content["facts"]["original"]["trees"]
    for shown, tree in zip(trees, certificate.facts["original"].trees, strict=True):
        assert shown["symbols"] == list(symbols(tree, 4, "tree"))
        assert shown["leaves"] == shown["symbols"].count(0) == (shown["nodes"] + 1) // 2


def test_json_of_a_family_and_of_a_query_can_be_read(family: Path, tmp_path: Path) -> None:
    secateur.export(family, tmp_path / "family.json", form="json")
    assert json.loads((tmp_path / "family.json").read_text())["slices"] == 3
    secateur.export(query(tmp_path / "in", "(>= Y_0 90)", Holds), tmp_path / "query.json", form="json")
    assert json.loads((tmp_path / "query.json").read_text())["parts"]


def test_json_says_that_a_claim_is_about_computed_values(tmp_path: Path) -> None:
    """The same trees, said of float32: whether they prove it is for the checker to say."""
    for number, (certificate, words) in enumerate(
        [
            (
                pair(tmp_path / "pair"),
                "for all float32 x in D and every float32 evaluation of N and N', max |N(x) - N'(x)| <= 1/10",
            ),
            (query(tmp_path / "query", "(>= Y_0 90)", Holds), "no float32 x satisfies the query in any float32 evaluation of N"),
        ]
    ):
        own, rest = header(certificate)
        out = tmp_path / f"{number}.json"
        done = secateur.export(with_header(certificate, own | {"semantics": "float32"}, rest), out, form="json")
        content = json.loads(out.read_text())
        assert (content["semantics"], content["claim"], done.claim) == ("float32", words, words)
        secateur.export(certificate, tmp_path / f"{number}.real.json", form="json")
        assert "semantics" not in json.loads((tmp_path / f"{number}.real.json").read_text())


def test_bad_input_is_one_line(pruned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    (tmp_path / "other.onnx").write_bytes(b"no network")
    agreed = pair(tmp_path / "in")
    own, rest = header(agreed)
    computed = with_header(agreed, own | {"semantics": "float32"}, rest)
    cases = [
        ([str(tmp_path / "none"), "--vnnlib", "--out", "x"], "the certificate cannot be read"),
        ([str(pruned), "--smtlib", "--out", str(tmp_path / "full")], "is not empty"),
        (
            [str(pruned), "--smtlib", "--out", "x", "--reduced", str(tmp_path / "other.onnx")],
            "is not the file that was certified",
        ),
        ([str(pruned), "--smtlib", "--out", "x", "--query", "q"], "names no query"),
        ([str(pruned.parent / "domain.json"), "--json", "--out", "x"], "not a certificate of this format"),
        ([str(computed), "--smtlib", "--out", "x"], "is about values computed in float32"),
        ([str(computed), "--vnnlib", "--out", "x"], "choose --json, or a certificate about exact values"),
        ([str(pruned), "--json", "--out", str(pruned)], "exists already; choose another --out"),
        ([str(pruned), "--json", "--out", str(tmp_path)], "exists already; choose another --out"),
        ([str(pruned), "--json", "--out", ""], "exists already; choose another --out"),
        ([str(pruned), "--json", "--out", str(tmp_path / "none" / "x")], "cannot be written"),
        ([str(pruned), "--out", "x"], "one of the arguments --vnnlib --smtlib --json is required"),
    ]
    before = pruned.read_bytes()
    for words, message in cases:
        assert main(["export", *words]) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert message in last
    assert not Path("x").exists()
    assert pruned.read_bytes() == before


def test_a_claim_about_a_layer_that_no_file_can_hold_is_a_note(tmp_path: Path) -> None:
    nodes = [node("Div", ["x", "c"], "a"), node("Gemm", ["a", "w"], "z"), node("Relu", ["z"], "r"), node("Gemm", ["r", "w"])]
    data = model_bytes(nodes, {"c": [[3.0]], "w": [[1.0]]}, inputs={"x": [1, 1]}, outputs={"y": [1, 1]})  # x / 3 is no float
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(data)
    certificate = tmp_path / "proof.secateur"
    with secateur.Engine(jobs=1, solver="none") as engine:
        box = secateur.Box(["-1"], ["1"])
        engine.equivalent(tmp_path / "a.onnx", tmp_path / "b.onnx", box, epsilon="1", certificate=certificate)
    own, rest = header(certificate)
    own["claim"]["layer"] = [1, 1]
    forged = with_header(certificate, own, rest)
    assert isinstance(secateur.check(forged, strict=True), secateur.Accepted)
    done = secateur.export(forged, tmp_path / "out")
    (note,) = done.notes
    assert note.startswith("claim: not exported, because a network cut off behind a layer cannot be stored")
    assert done.files == ("manifest.json",)
    assert claims(tmp_path / "out") == []


def marabou() -> str:
    """A python that can import maraboupy: $SECATEUR_MARABOU, or this one; a skip where there is none."""
    if "SECATEUR_MARABOU" in os.environ:
        return os.environ["SECATEUR_MARABOU"]
    if importlib.util.find_spec("maraboupy") is None:
        pytest.skip("maraboupy is not installed (set SECATEUR_MARABOU to a python that has it)")
    return sys.executable


def marabou_says(folder: Path, results: Path, name: str) -> str:
    """Marabou's answer to the instance of a table that has this name; a skip where it does not decide it."""
    driver = ROOT / "benchmarks" / "peers" / "marabou_driver.py"
    (asked,) = (i for i in with_files(read_benchmark(folder)).instances if i.query.stem == name)
    (network,) = asked.networks.values()
    words = [marabou(), str(driver), str(network), str(asked.query), str(results), "60"]
    try:
        subprocess.run(words, check=True, capture_output=True, timeout=100)
    except subprocess.TimeoutExpired:  # it looks at its own limit only now and then
        pytest.skip(f"Marabou did not decide {name} in time")
    said, *witness = results.read_text().split(maxsplit=1)
    if said == "sat":
        point = [Fraction(float(x)) for x in re.findall(r"\(X_\d+ ([^)]+)\)", witness[0])]
        outputs = parse_onnx(network.read_bytes(), name).exact(point).output
        if name == "claim" and max(map(abs, outputs)) < Fraction(9, 100):  # its points need not satisfy its disjunctions
            pytest.skip(f"Marabou's point does not satisfy {name}")
    if said in ("unknown", "timeout"):
        pytest.skip(f"Marabou did not decide {name}: {said}")
    return said


def test_marabou_confirms_true_claims_and_refutes_false_ones(tmp_path: Path, pruned: Path) -> None:
    # All are true or false by far more than floats round: outputs differ by less than 0.03 or more than 1, and the neuron
    # stays below -0.3.
    certificate = pair(tmp_path / "in", [3, 4, 4, 3], 2, epsilon="0.1")
    true, false = exported(certificate, tmp_path / "true"), exported(false_claim(certificate), tmp_path / "false")
    assert marabou_says(true, tmp_path / "result", "claim") == "unsat"
    assert marabou_says(false, tmp_path / "result", "claim") == "sat"
    facts = exported(pruned, tmp_path / "facts")
    assert marabou_says(facts, tmp_path / "result", "original_layer1_neuron14_inactive") == "unsat"
