"""A certificate's claims as a VNN-COMP benchmark: networks, queries, and the tables that name them.

instances.csv, onnx/, vnnlib/     for tools that read VNN-LIB 1.0: one network each, closed atoms
2.0/instances.csv, 2.0/vnnlib/    the same claims exactly, with strict atoms and the files as they are
manifest.json                     what each instance asks, which answer is expected, and what that answer shows
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from secateur.exporting.graphs import NotStorableError, forms_network, layer_network, neuron_network, stored
from secateur.exporting.material import Asked, Compared, Material, NetworkFile, Phases, described
from secateur.exporting.violations import Closed, Relation, closed, neuron_violation, violations
from secateur.exporting.vnnlib import exact_numbers, flat_text, typed_text
from secateur.network import Network, parse_onnx
from secateur.progress import Progress
from secateur.specification.vnnlib.formula import Row

__all__ = ["benchmark_files"]

TIMEOUT = 300  # seconds that instances.csv grants

_EXPECTED_SAT = {
    Relation.EXACT: "sat if and only if the claim is true",
    Relation.STRONGER: "the claim implies sat; a point on the border of what is asked would not show it",
}

Named = tuple[tuple[str, str], ...]
"""(name, path from the export's folder) of the networks of an instance; the name is empty where there is one."""


def benchmark_files(material: Material, progress: Progress) -> tuple[dict[str, bytes], list[str]]:
    """All files by name, and notes on what could not be expressed."""
    writer = _Writer(material, progress)
    for i, compared in enumerate(material.compared):
        progress.update(f"claim {i + 1:,} of {len(material.compared):,}", i / len(material.compared))
        writer.compared(compared)
    for phases in material.phases:
        writer.phases(phases)
    if material.asked is not None:
        writer.asked(material.asked)
    return writer.finished(), writer.notes


@dataclass
class _Writer:
    """The files so far, the rows of both tables, and the manifest's list."""

    material: Material
    progress: Progress
    files: dict[str, bytes] = field(default_factory=dict)
    rows: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: {"1.0": [], "2.0": []})
    listed: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _networks: dict[tuple[int, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.notes += self.material.notes

    def compared(self, claim: Compared) -> None:
        """A claim about two networks: joined for version 1.0, as they are for version 2.0."""
        try:
            networks, names = self._both(claim)
        except NotStorableError as error:
            self.notes.append(f"{claim.label}: not exported, because a network cut off behind a layer cannot be stored: {error}")
            return
        disjuncts = violations(claim.comparison, networks[0].output_size)
        comments = [claim.words, f"N = {_named(claim.original)}", f"N' = {_named(claim.reduced)}"]
        self._typed(claim.label, comments, networks, tuple(zip("fg", names, strict=True)), claim, disjuncts)
        asked = closed(disjuncts)
        if not claim.holds and asked.relation is Relation.WEAKER:
            self.notes.append(
                f"{claim.label}: no VNN-LIB 1.0 file, whose closed atoms cannot say what the point refutes; see 2.0"
            )
            return
        try:
            joined = forms_network(networks, asked.forms)
        except NotStorableError as error:
            self.notes.append(f"{claim.label}: no VNN-LIB 1.0 file, because the joined network cannot be stored: {error}")
            return
        path = self._add(f"onnx/{claim.label}.onnx", joined)
        comments += [f"Y_{j} = {_form_words(form, networks[0].output_size)}" for j, form in enumerate(asked.forms)]
        self._flat(claim.label, comments, path, claim, asked)

    def phases(self, phases: Phases) -> None:
        """A fact about a neuron each: the network cut off there, in both versions."""
        for number, (fact, by) in enumerate(phases.facts):
            self.progress.update(f"fact {number + 1:,} of {len(phases.facts):,}", number / len(phases.facts))
            label = f"{phases.side}_layer{fact.layer}_neuron{fact.neuron}_{fact.phase}"
            sign = "<=" if fact.phase == "inactive" else ">="
            neuron = f"neuron {fact.neuron} of ReLU layer {fact.layer}"
            words = f"for all x in D, the pre-activation of {neuron} is {sign} 0 ({fact.phase})"
            network = neuron_network(phases.network.network, fact.layer, fact.neuron)
            try:
                data = stored(network)
            except NotStorableError as error:
                self.notes.append(f"{label}: not exported, because the network cannot be stored: {error}")
                continue
            path, row = self._add(f"onnx/{label}.onnx", data), neuron_violation(fact.phase)
            comments = [words, f"N = {_named(phases.network)}", f"shown in the certificate by {by}"]
            claim = _Fact(label, words, phases)
            self._typed(label, comments, [parse_onnx(data, path)], (("", path),), claim, [[row]])
            self._flat(label, comments, path, claim, _at_zero(row))

    def asked(self, asked: Asked) -> None:
        """The query and its network, unpacked."""
        path = self._add("onnx/network.onnx", asked.network.data)
        two = asked.query.version != "1.0"
        query = self._add("2.0/vnnlib/query.vnnlib" if two else "vnnlib/query.vnnlib", asked.text)
        self._list("2.0" if two else "1.0", (("", path),), query, asked.words, asked.holds, Relation.EXACT)

    def finished(self) -> dict[str, bytes]:
        """All files, with the tables and the manifest."""
        for version, folder in (("1.0", ""), ("2.0", "2.0/")):
            if self.rows[version]:
                self.files[f"{folder}instances.csv"] = _table(self.rows[version])
        source = self.material.source
        manifest = {
            "format": "secateur-export",
            "version": 1,
            "certificate": {"file": source.path.name, "sha256": source.sha256, "producer": source.certificate.producer},
            "claim": described(source.certificate),
            "instances": self.listed,
            "notes": self.notes,
        }
        self.files["manifest.json"] = (json.dumps(manifest, indent=1) + "\n").encode()
        return self.files

    def _both(self, claim: Compared) -> tuple[list[Network], list[str]]:
        """The networks that are compared, with their paths: the files themselves, or these cut off behind a layer."""
        networks, paths = [], []
        for i, file in enumerate((claim.original, claim.reduced)):
            layer = None if claim.claim.layers is None else claim.claim.layers[i]
            side = "original" if i == 0 else "reduced" if claim.label == "claim" else claim.label + "_reduced"
            if layer is None:
                networks.append(file.network)
                paths.append(self._file(file, f"onnx/{side}.onnx"))
            else:
                data = stored(layer_network(file.network, layer))
                paths.append(self._add(f"onnx/{side}_layer{layer}.onnx", data))
                networks.append(parse_onnx(data, paths[-1]))
        return networks, paths

    def _file(self, file: NetworkFile, path: str) -> str:
        """A file as it is, once."""
        known = self._networks.setdefault((id(file), file.sha256), path)
        return self._add(known, file.data)

    def _add(self, path: str, data: bytes) -> str:
        self.files[path] = data
        return path

    def _typed(
        self,
        label: str,
        comments: Sequence[str],
        networks: Sequence[Network],
        named: Named,
        claim: Compared | _Fact,
        disjuncts: list[list[Row]],
    ) -> None:
        domain = claim.domain
        exact = exact_numbers(domain, (row.bound for rows in disjuncts for row in rows))
        relation = Relation.EXACT if exact else Relation.STRONGER
        text = typed_text([*comments, relation.value], networks, domain, disjuncts)
        self._list("2.0", named, self._add(f"2.0/vnnlib/{label}.vnnlib", text.encode()), claim.words, claim.holds, relation)

    def _flat(self, label: str, comments: Sequence[str], path: str, claim: Compared | _Fact, asked: Closed) -> None:
        text = flat_text([*comments, asked.relation.value], claim.domain, asked)
        query = self._add(f"vnnlib/{label}.vnnlib", text.encode())
        self._list("1.0", (("", path),), query, claim.words, claim.holds, asked.relation)

    def _list(self, version: str, named: Named, query: str, words: str, holds: bool, relation: Relation) -> None:
        """A row of a table, whose paths are relative to its folder, and an entry of the manifest."""
        up = "../" if version == "2.0" else ""
        paths = [(name, up + path) for name, path in named]
        cell = paths[0][1] if len(paths) == 1 else repr(paths)
        self.rows[version].append((cell, query.removeprefix("2.0/")))
        self.listed.append(
            {
                "vnnlib": query,
                "version": version,
                "onnx": [path for _, path in named],
                "claim": words,
                "expected": "unsat" if holds else "sat",
                "relation": relation.value if holds else _EXPECTED_SAT[relation],
            }
        )


@dataclass(frozen=True)
class _Fact:
    """One of the facts about neurons, as far as a query needs it."""

    label: str
    words: str
    phases: Phases
    holds: bool = True

    @property
    def domain(self) -> Any:
        return self.phases.domain


def _at_zero(row: Row) -> Closed:
    """z > 0 or z < 0 as a closed bound at 0: `unsat` implies the fact; a neuron that only just reaches 0 is asked about too."""
    shifted = closed([[row._replace(strict=False)]])
    return Closed(shifted.forms, shifted.disjuncts, Relation.STRONGER)


def _named(file: NetworkFile) -> str:
    return f"{file.name}, sha256 {file.sha256}"


def _form_words(form: Iterable[tuple[int, Any]], outputs: int) -> str:
    """A form over the outputs y of N and y' of N'."""
    words = ""
    for j, coefficient in form:
        name = f"y_{j}" if j < outputs else f"y'_{j - outputs}"
        words += (" - " if coefficient < 0 else " + " if words else "") + name
    return words


def _table(rows: Sequence[tuple[str, str]]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows((*row, TIMEOUT) for row in rows)
    return stream.getvalue().encode()
