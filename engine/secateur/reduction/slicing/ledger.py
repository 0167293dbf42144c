"""What a run has done so far, in a folder beside the results: a run that is killed goes on where it was.

Everything is filed under the digest of what it is about (network, box, known facts, seed, version), so that nothing can be
mistaken for the result of another question. A slice is a file of its own, that appears complete or not at all; first looks at
regions are lines of one file, of which the last may be torn.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from secateur.bounds import Claim
from secateur.certificate import LeafProof, WrittenFacts
from secateur.errors import InputError
from secateur.files import remove_stale, write_atomically
from secateur.reduction.slicing.partition import Analysis
from secateur.specification import Domain
from secateur.specification.comparison import Comparison
from secateur.version import version

__all__ = ["Ledger", "SliceRecord", "SliceStatistics", "digest"]

_ANALYSES, _STOP, _MODEL, _SUFFIX = "regions.jsonl", "stop", "model.onnx", ".slice"


@dataclass(frozen=True)
class SliceStatistics:
    """What came out for one slice.

    undecided : neurons that neither a proof nor a point settled. removed : neurons of the original that are gone, by kind
    (`removed.py`). nodes : sub-domains for phases; differences : in the proof by differences, 0 where there is none. seconds : in
    all. searched : of them for phases. relaxing : of them for removing more than phases allow. turn : how often it was tried.
    needed : seconds that more proofs of phases seem to take.
    """

    parameters: int
    neurons: int
    undecided: int
    proven: int
    removed: dict[str, int]
    nodes: int
    differences: int
    seconds: float
    searched: float
    relaxing: float
    turn: int
    needed: float


@dataclass(frozen=True, eq=False)
class SliceRecord:
    """A finished slice: its own facts, the proof of its claim, the network as a file, statistics, and claims left undecided."""

    facts: WrittenFacts
    proof: LeafProof
    data: bytes
    statistics: SliceStatistics
    undecided: tuple[Claim, ...]


def digest(model_sha256: str, box: Domain, known: Sequence[Claim], claim: Comparison, seed: int) -> str:
    """The name of a question about a region; claim : what slices have to keep."""
    parts = [version(), model_sha256, box.canonical_text(), json.dumps(list(known)), claim.words, str(seed)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


class Ledger:
    """The folder of a run, as those see it who work on slices. InputError where it cannot be written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._analyses: dict[str, Any] = {}

    @classmethod
    def opened(cls, folder: Path) -> Self:
        """For the run itself: makes the folder where it is missing, and takes over what an earlier run has left."""
        ledger = cls(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            remove_stale(folder)
            (folder / _STOP).unlink(missing_ok=True)
            ledger._analyses = _read_lines(folder / _ANALYSES)
        except OSError as error:
            raise ledger._unusable(error) from None
        return ledger

    @property
    def model(self) -> Path:
        """Where the network lies for those who work on slices."""
        return self.folder / _MODEL

    def keep_model(self, data: bytes) -> None:
        """Put the network there."""
        write_atomically(self.model, data)

    def analysis(self, name: str) -> Analysis | None:
        """A first look at a region that an earlier run had."""
        found = self._analyses.get(name)
        return None if found is None else Analysis(_facts_from(found["facts"]), found["unstable"], found["coordinate"])

    def note(self, name: str, analysis: Analysis) -> None:
        """Keep a first look."""
        content = {"facts": _facts_to(analysis.facts), "unstable": analysis.unstable, "coordinate": analysis.coordinate}
        try:
            with (self.folder / _ANALYSES).open("a", encoding="utf-8") as file:
                file.write("\n" + json.dumps({"name": name, **content}) + "\n")  # the line before may be torn
        except OSError as error:
            raise self._unusable(error) from None

    def slice(self, name: str) -> SliceRecord | None:
        """A finished slice; None where it is missing or damaged (then it is to be made again)."""
        try:
            return _unpacked((self.folder / (name + _SUFFIX)).read_bytes())
        except (OSError, ValueError, KeyError, TypeError, struct.error):
            return None

    def statistics(self, name: str) -> SliceStatistics | None:
        """Those of a finished slice."""
        record = self.slice(name)
        return None if record is None else record.statistics

    def keep(self, name: str, record: SliceRecord) -> None:
        """File a finished slice; a better one takes the place of an earlier one."""
        write_atomically(self.folder / (name + _SUFFIX), _packed(record))

    @property
    def stopped(self) -> bool:
        """Whether the run has asked everybody to come to an end."""
        return (self.folder / _STOP).exists()

    def stop(self) -> None:
        """Ask everybody who works on a slice to come to an end, on whatever machine."""
        try:
            (self.folder / _STOP).touch()
        except OSError as error:
            raise self._unusable(error) from None

    def _unusable(self, error: OSError) -> InputError:
        return InputError(
            f"cannot be used: {error.strerror or error}",
            where=f"work folder {self.folder}",
            remedy="what was done is kept; the same command goes on from there",
        )


def _read_lines(path: Path) -> dict[str, Any]:
    analyses = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            entry = json.loads(line)
            analyses[entry.pop("name")] = entry
        except (ValueError, KeyError, AttributeError):  # torn when an earlier run was killed
            continue
    return analyses


def _facts_to(facts: WrittenFacts) -> dict[str, Any]:
    return {"entry": facts.entry, "streams": [s.hex() for s in facts.streams]}


def _facts_from(content: dict[str, Any]) -> WrittenFacts:
    return WrittenFacts(content["entry"], tuple(bytes.fromhex(s) for s in content["streams"]))


def _packed(record: SliceRecord) -> bytes:
    """Length of the body's digest and head, head as JSON, then streams and network; the digest covers all of it."""
    blobs = [*record.facts.streams, *record.proof.streams, record.data]
    head = {
        "facts": record.facts.entry,
        "claim": record.proof.claim,
        "evidence": record.proof.evidence,
        "sizes": [len(b) for b in blobs],
        "own": len(record.facts.streams),
        "statistics": asdict(record.statistics),
        "undecided": record.undecided,
    }
    text = json.dumps(head).encode()
    body = b"".join([struct.pack("<Q", len(text)), text, *blobs])
    return hashlib.sha256(body).digest() + body


def _unpacked(data: bytes) -> SliceRecord:
    """ValueError, KeyError, TypeError or struct.error where the file is damaged."""
    body = data[32:]
    if hashlib.sha256(body).digest() != data[:32]:
        raise ValueError("damaged")
    (length,) = struct.unpack_from("<Q", body)
    head, at = json.loads(body[8 : 8 + length]), 8 + length
    blobs = []
    for size in head["sizes"]:
        blobs.append(body[at : at + size])
        at += size
    own = head["own"]
    return SliceRecord(
        WrittenFacts(head["facts"], tuple(blobs[:own])),
        LeafProof(head["claim"], head["evidence"], tuple(blobs[own:-1])),
        blobs[-1],
        SliceStatistics(**head["statistics"]),
        tuple((layer, neuron, sign) for layer, neuron, sign in head["undecided"]),
    )
