"""Small valid certificates of every kind, as headers, streams and files that can be changed and written again."""

from __future__ import annotations

import json
import random
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from secateur.checker import Accepted, check
from secateur.checker.chain import chain_form
from secateur.checker.container import MAGIC
from secateur.checker.domain import Domain
from secateur.checker.evaluation import evaluate
from secateur.checker.lowering import lower
from secateur.checker.pair_rows import broken_at
from secateur.oracle import Engine
from secateur.search import Holds
from tests.checker.family_cases import FamilyCase, claims_in, established, random_family, write_family
from tests.checker.pair_cases import (
    PairCase,
    claim_of,
    close_pair,
    gap_points,
    networks_of,
    perturbed,
    random_pair,
    with_claim,
    write_pair_certificate,
)
from tests.checker.pair_cases import prove as prove_pair
from tests.checker.query_cases import QueryCase, head, prove, random_query_case, row_text, write_query_certificate
from tests.checker.refuted_cases import refuted_facts, refuted_pair, refuted_query
from tests.checker.support import Case, barely_inactive, dense_model, random_layers, without_neurons, write_certificate

__all__ = ["KINDS", "Bundle", "base", "entries_in"]

CORNERS = ["-1", "-0.7"], ["1/3", "1e0"]
SIDES = np.float32([[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1]])  # of |x|, |y| and |x + y|
T = TypeVar("T")


@dataclass
class Bundle:
    """A certificate taken apart: its header, the entries of a family, the unpacked streams (symbols and JSON), and its files."""

    header: dict[str, Any]
    regions: list[Any] | None
    streams: list[bytes]
    files: dict[str, bytes]
    inputs: int

    @property
    def root(self) -> Any:
        """Where the entries of the trees stand."""
        return self.header if self.regions is None else self.regions


def trees_in(value: Any) -> Iterator[dict[str, Any]]:
    """The entries of trees in a header or in a family's regions, in the order of their streams."""
    if isinstance(value, dict):
        if value.keys() >= {"nodes", "bytes"}:
            yield value
        else:
            for own in value.values():
                yield from trees_in(own)
    elif isinstance(value, list):
        for own in value:
            yield from trees_in(own)


def entries_in(value: Any) -> Iterator[dict[str, Any]]:
    """The entries of streams: those of trees, and behind each that of its evidence about refuted leaves, if it has any."""
    for tree in trees_in(value):
        yield tree
        if isinstance(tree.get("refuted"), dict):
            yield tree["refuted"]


def taken_apart(folder: Path, name: str, inputs: int) -> Bundle:
    """The bundle of a certificate that was written to a folder."""
    data = (folder / name).read_bytes()
    end = len(MAGIC) + 8 + int.from_bytes(data[10:18], "little")
    header, at, regions = json.loads(data[18:end]), end, None
    if header["claim"]["kind"] == "family":
        at += header["regions"]["bytes"]
        regions = json.loads(zlib.decompress(data[end:at]))
    streams = []
    for entry in entries_in(header if regions is None else regions):
        streams.append(zlib.decompress(data[at : at + entry["bytes"]]))
        at += entry["bytes"]
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != name]
    return Bundle(header, regions, streams, {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}, inputs)


def accepted(folder: Path) -> bool:
    return isinstance(check(folder, arithmetic="exact"), Accepted)


def by_simulation(seed: int, folder: Path, close: bool = False) -> int:
    """Facts by intervals and by trees, and the network without its inactive neurons; `close`: and with other weights."""
    rng = np.random.default_rng(seed)
    layers = random_layers([2, 5, 4, 2], rng)
    barely_inactive(layers, rng, 2, 2)
    original, domain = dense_model(layers), Domain(*(tuple(map(Fraction, side)) for side in CORNERS))
    network = lower(original)
    found = established(network, domain, [], random.Random(seed)) or {"grid": [36, 36], "interval": [], "trees": []}
    dead = [(claim.layer, claim.neuron) for claim in claims_in(found) if claim.phase == "inactive"]
    dead = [own for own in dead if own[1] or sum(k == own[0] for k, _ in dead) < network.size(own[0])]
    kept = [[i for i in range(network.size(k)) if (k, i) not in dead] for k in (1, 2)]
    reduced = without_neurons(layers, dead)
    trees = [(tree["claims"], tree["steps"], tree["symbols"]) for tree in found["trees"]]
    text = json.dumps({"lower": CORNERS[0], "upper": CORNERS[1]})
    case = Case(original, dense_model(reduced), text, {"original": found["grid"], "reduced": [36, 36]}, found["interval"], trees)
    assert chain_form(network, domain)
    if close:
        case.reduced = dense_model(perturbed(reduced, rng, (0.002, 0.01)))
        case.match = [[k, i, k, j] for k, own in enumerate(kept, 1) for j, i in enumerate(own)]
        for power in range(-6, 8):
            case.tolerance = str(Fraction(2) ** power)
            if accepted(write_certificate(folder, case)):
                break
    write_certificate(folder, case)
    return 2


def by_match(seed: int, folder: Path) -> int:
    return by_simulation(seed, folder, close=True)


def by_differences(seed: int, folder: Path) -> int:
    """Agreement of outputs or of layers, or equal decisions, by a tree over both networks."""
    for number in range(seed * 1000, seed * 1000 + 1000):
        case: PairCase = close_pair(number, (2, 4, 3, 2)) if number % 3 == 0 else with_claim(random_pair(number), number)
        if prove_pair(case, 12):
            write_pair_certificate(folder, case)
            return case.inputs
    raise AssertionError("no pair can be proven")


def by_counterexample(seed: int, folder: Path) -> int:
    """A statement about two networks that is false at a point."""
    for number in range(seed * 1000, seed * 1000 + 1000):
        case = with_claim(random_pair(number), number)
        both, claim = networks_of(case), claim_of(case)
        layers = claim.layers or (None, None)
        for point in gap_points(case, number):
            values = evaluate(both.original, point, layers[0]), evaluate(both.reduced, point, layers[1])
            if broken_at(claim, *values) is not None:
                case.claim = {"kind": "refuted", "claim": case.claim, "point": list(map(str, point))}
                write_pair_certificate(folder, case)
                return case.inputs
    raise AssertionError("no pair can be refuted")


def by_parts(seed: int, folder: Path) -> int:
    """A query without solution; with an even seed on two boxes, which are two parts."""
    case = random_query_case(seed)
    if seed % 2 == 0:
        at = case.query.index(b"(assert (or")
        query = case.query[:at] + b"(assert (or (<= X_0 0.1) (>= X_0 0.1)))\n" + case.query[at:]
        parts = prove(case.network, query)
        assert parts is not None
        assert len(parts) > 1
        case = QueryCase(case.network, query, 2, parts)
    write_query_certificate(folder, case)
    return 2


def by_point(seed: int, folder: Path) -> int:
    """A query with a solution, which is close to the boundary of what the query asks for."""
    rng, own = np.random.default_rng(seed), random.Random(seed)
    network = dense_model(random_layers([2, 5, 4, 2], rng))
    point = [Fraction(own.randint(-9, 9), own.randint(10, 13)) for _ in range(2)]
    values = evaluate(lower(network), point)
    rows = []
    for _ in range(2):
        a = [str(own.randint(-3, 3)) for _ in range(4)]
        least = sum(Fraction(c) * v for c, v in zip(a, [*point, *values], strict=True))
        rows.append(row_text(a[:2], a[2:], f"{float(least) + own.choice([1e-6, 0.1]):.9f}", own.random() < 0.5))
    text = head(2, 2, [("-1", "1")] * 2) + f"(assert (or (and {' '.join(rows)}) (>= Y_0 1000.0)))\n"
    write_query_certificate(folder, QueryCase(network, text.encode(), 2, point=list(map(str, point))))
    return 2


def by_slices(seed: int, folder: Path) -> int:
    case: FamilyCase = random_family(seed, leaves=3)
    write_family(folder, case)
    return case.inputs


def first(seed: int, case_of: Callable[[int], T | None]) -> T:
    """The first case from some seed on."""
    return next(case for case in map(case_of, count(1000 * seed)) if case is not None)


def by_refuted_facts(seed: int, folder: Path) -> int:
    """A reduced network, and a tree of facts with a refuted leaf."""
    own = first(seed, refuted_facts)
    write_certificate(folder, own.case, own.header, own.streams)
    return 2


def by_refuted_parts(seed: int, folder: Path) -> int:
    """A query with a refuted leaf; with an even seed a strict one about scale (|x + y| - |x| - |y|), whose largest value is 0."""
    if seed % 2:
        case = first(seed, refuted_query)
        write_query_certificate(folder, case)
        return case.inputs
    rng = np.random.default_rng(seed)
    low, high, scale = -rng.uniform(0.2, 1, 2), rng.uniform(0.2, 1, 2), np.float32(rng.choice([1, 0.1, rng.uniform(0.5, 2)]))
    model, query = folder / "net.onnx", folder / "prop.vnnlib"
    model.write_bytes(dense_model([(SIDES, np.zeros(6)), (scale * np.float32([[-1] * 4 + [1] * 2]), np.zeros(1))]))
    text = head(2, 1, [(f"{a:.3f}", f"{b:.3f}") for a, b in zip(low, high, strict=True)]) + "(assert (> Y_0 0.0))\n"
    query.write_text(text)
    with Engine(jobs=1, solver="none") as engine:
        found = engine.verify(model, query, timeout=300, certificate=folder / "cert.secateur")
    assert isinstance(found, Holds), found
    return 2


def by_refuted_differences(seed: int, folder: Path) -> int:
    """Two networks with a refuted leaf; with an even seed |x| + |y| and |x + y|, and a tolerance that they reach."""
    if seed % 2:
        case = first(seed, refuted_pair)
        write_pair_certificate(folder, case)
        return case.inputs
    rng = random.Random(seed)
    side, scale = Fraction(rng.randint(1, 9), rng.randint(2, 9)), rng.choice([1.0, 0.5, 3.0])
    first_path, second, domain = folder / "net.onnx", folder / "other.onnx", folder / "domain.json"
    for path, signs in ((first_path, SIDES[:4]), (second, SIDES[4:])):
        path.write_bytes(dense_model([(signs, np.zeros(len(signs))), (np.full((1, len(signs)), scale), np.zeros(1))]))
    domain.write_text(json.dumps({"lower": ["-1", "-1"], "upper": [str(side)] * 2}))
    gap = 2 * min(side, Fraction(1)) * Fraction(scale)  # 2 min(|x|, |y|) where the signs differ
    with Engine(jobs=1, solver="none") as engine:
        path = folder / "certificate.secateur"
        found = engine.equivalent(first_path, second, domain, epsilon=str(gap), timeout=300, certificate=path)
        assert isinstance(found, Holds)
    return 2


def by_rounded_parts(seed: int, folder: Path) -> int:
    """A query that no float32 evaluation satisfies."""
    case = random_query_case(seed)
    case.float32 = True
    write_query_certificate(folder, case)
    return case.inputs


def by_rounded_differences(seed: int, folder: Path) -> int:
    """Agreement or equal decisions of two networks in float32."""

    def proven(number: int) -> PairCase | None:
        case = close_pair(number, (2, 4, 3, 2), factor=1.6)
        case.shifts, case.float32 = [0] * len(case.shifts), True
        return case if prove_pair(case, 12) else None

    write_pair_certificate(folder, first(seed, proven))
    return 2


KINDS: dict[str, Callable[[int, Path], int]] = {
    "simulation": by_simulation,
    "simulation, matched": by_match,
    "differences": by_differences,
    "refuted": by_counterexample,
    "unsat": by_parts,
    "sat": by_point,
    "family": by_slices,
    "simulation, refuted leaves": by_refuted_facts,
    "unsat, refuted leaves": by_refuted_parts,
    "differences, refuted leaves": by_refuted_differences,
    "unsat, float32": by_rounded_parts,
    "differences, float32": by_rounded_differences,
}


def name_of(kind: str) -> str:
    """The file that a certificate of a kind is written to."""
    names = {"family": "family.secateur", "unsat": "cert.secateur", "sat": "cert.secateur"}
    return names.get(kind.partition(",")[0], "certificate.secateur")


def base(kind: str, seed: int) -> Bundle:
    """A valid certificate of a kind."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = KINDS[kind](seed, folder)
        own = folder / name_of(kind)
        verdict = check(own, arithmetic="exact")
        assert isinstance(verdict, Accepted), (kind, seed, verdict)
        return taken_apart(folder, own.name, inputs)
