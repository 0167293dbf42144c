"""Each claim as an SMT-LIB 2 text over QF_LRA that is unsatisfiable if, and only if, the claim holds (of `sat`, satisfiable).

The text mirrors the network: x are the inputs, z and r the pre-activations and outputs of each ReLU layer, y the outputs, all
exact. No bounds of neurons are stated, so that nothing has to be believed. In texts about two networks the variables of
N begin with `N.`, those of N' with `M.`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from secateur.exporting.material import Asked, Compared, Material, NetworkFile, Phases, described
from secateur.exporting.violations import violations
from secateur.network import Affine, Network
from secateur.progress import Progress
from secateur.specification import Domain
from secateur.specification.vnnlib.formula import And, Formula, Kind, Row, fold
from secateur_encodings.script import Script, conjunction, disjunction, inequality, linear, numeral

__all__ = ["script_files"]

Rows = list[list[tuple[str, Fraction]]]
"""For each value its terms: variables and coefficients."""


def script_files(material: Material, progress: Progress) -> dict[str, bytes]:
    """The texts by name."""
    files = {}
    claims = list(_claims(material))
    for i, (name, claim) in enumerate(claims):
        progress.update(f"claim {i + 1:,} of {len(claims):,}", i / len(claims))
        files[f"{name}.smt2"] = claim.encode()
    return files


def _claims(material: Material) -> Iterator[tuple[str, str]]:
    source = material.source
    head = [
        f"exported from {source.path.name}, sha256 {source.sha256}, by {source.certificate.producer}",
        f"the certificate claims: {described(source.certificate)}",
    ]
    for compared in material.compared:
        yield compared.label, _compared(compared, head)
    for phases in material.phases:
        for number, (fact, _) in enumerate(phases.facts):
            yield f"{phases.side}_layer{fact.layer}_neuron{fact.neuron}_{fact.phase}", _phase(phases, number, head)
    if material.asked is not None:
        yield "claim", _asked(material.asked, head)


def _header(head: Sequence[str], words: str, holds: bool, files: Sequence[tuple[str, NetworkFile]]) -> list[str]:
    answer = "unsat" if holds else "sat"
    named = [f"{name} = {file.name}, sha256 {file.sha256}" for name, file in files]
    return [*head, *named, f"this text: {words}", f"expected answer: {answer}, if and only if that is true"]


def _compared(compared: Compared, head: Sequence[str]) -> str:
    files = (("N", compared.original), ("N'", compared.reduced))
    script = Script(_header(head, compared.words, compared.holds, files))
    _box(script, compared.domain)
    outputs = []
    for i, (prefix, (name, file)) in enumerate(zip(("N.", "M."), files, strict=True)):
        layer = None if compared.claim.layers is None else compared.claim.layers[i]
        own = _Values(script, file.network, prefix, name)
        own.layers(len(file.network.layers) if layer is None else layer)
        outputs += own.outputs() if layer is None else own.sources[layer]
    script.comment("the claim fails")
    disjuncts = violations(compared.comparison, len(outputs) // 2)
    script.require(disjunction([conjunction([_row(row, {Kind.OUTPUT: outputs}) for row in rows]) for rows in disjuncts]))
    return script.text()


def _phase(phases: Phases, number: int, head: Sequence[str]) -> str:
    fact, by = phases.facts[number]
    sign, opposite = ("<=", ">") if fact.phase == "inactive" else (">=", "<")
    words = f"for all x in D, the pre-activation of neuron {fact.neuron} of ReLU layer {fact.layer} is {sign} 0 ({fact.phase})"
    script = Script([*_header(head, words, True, [("N", phases.network)]), f"shown in the certificate by {by}"])
    _box(script, phases.domain)
    own = _Values(script, phases.network.network, "", "N")
    own.layers(fact.layer - 1)
    z = f"z{fact.layer}_{fact.neuron}"
    script.comment(f"layer {fact.layer}, neuron {fact.neuron}: the claim fails")
    script.define(z, own.value(phases.network.network.layers[fact.layer - 1], fact.neuron))
    script.require(f"({opposite} {z} 0.0)")
    return script.text()


def _asked(asked: Asked, head: Sequence[str]) -> str:
    header = _header(head, asked.words, asked.holds, [("N", asked.network)])
    script = Script([*header, f"query {asked.query_name}, sha256 {asked.sha256}"])
    network = asked.network.network
    inputs = [f"x{i}" for i in range(network.input_size)]
    for name in inputs:
        script.variable(name)
    own = _Values(script, network, "", "N")
    own.layers(len(network.layers))
    names = {Kind.INPUT: inputs, Kind.OUTPUT: own.outputs()}
    script.comment("the assertions of the query")
    for assertion in asked.query.assertions:
        script.require(_formula(assertion, names))
    return script.text()


def _box(script: Script, domain: Domain) -> None:
    script.comment("the box D")
    for i, (low, high) in enumerate(zip(domain.lower, domain.upper, strict=True)):
        script.variable(f"x{i}")
        script.require(f"(<= {numeral(low)} x{i})")
        script.require(f"(<= x{i} {numeral(high)})")


def _row(row: Row, names: dict[Kind, list[str]]) -> str:
    return inequality([(names[v.kind][v.position], c) for v, c in row.coefficients], row.bound, strict=row.strict)


def _formula(formula: Formula, names: dict[Kind, list[str]]) -> str:
    return fold(
        formula,
        lambda row: _row(row, names),
        lambda node, parts: conjunction(parts) if isinstance(node, And) else disjunction(parts),
    )


class _Values:
    """The values of one network, declared in a script layer by layer; `sources[k]` names those of source k."""

    def __init__(self, script: Script, network: Network, prefix: str, name: str) -> None:
        self._script, self._network, self._prefix, self._name = script, network, prefix, name
        self.sources: list[list[str]] = [[f"x{i}" for i in range(network.input_size)]]

    def layers(self, count: int) -> None:
        """Declare the first ReLU layers."""
        for k, layer in enumerate(self._network.layers[:count], start=1):
            rows = _rows(layer, self.sources)
            for i, terms in enumerate(rows):
                z, r = f"{self._prefix}z{k}_{i}", f"{self._prefix}r{k}_{i}"
                self._script.comment(f"{self._name}, layer {k}, neuron {i}")
                self._script.define(z, linear(terms, layer.rational_bias()[i]))
                self._script.relu(r, z)
            self.sources.append([f"{self._prefix}r{k}_{i}" for i in range(layer.size)])

    def outputs(self) -> list[str]:
        """Declare the outputs, and name them."""
        affine = self._network.output
        names = [f"{self._prefix}y{i}" for i in range(affine.size)]
        self._script.comment(f"outputs of {self._name}")
        for i, (name, terms) in enumerate(zip(names, _rows(affine, self.sources), strict=True)):
            self._script.define(name, linear(terms, affine.rational_bias()[i]))
        return names

    def value(self, affine: Affine, row: int) -> str:
        """One value of an affine function of the sources, as a term."""
        return linear(_rows(affine, self.sources)[row], affine.rational_bias()[row])


def _rows(affine: Affine, sources: Sequence[Sequence[str]]) -> Rows:
    rows: Rows = [[] for _ in range(affine.size)]
    for term in affine.terms:
        for row, weights in zip(rows, term.map.dense().rationals(), strict=True):
            row += [(name, w) for name, w in zip(sources[term.source], weights, strict=True) if w]
    return rows
