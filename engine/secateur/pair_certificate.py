"""The certificate of a verdict on two networks: made, accepted by the checker, and only then written.

A claim that holds is certified by one split tree over both networks, one that fails by an exact point. The certificate names a
file for the domain: the user's own where that is in the format's form, otherwise one that is written beside it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from secateur.bounds import quantise
from secateur.certificate import ComparedFiles, FileReference, comparison_bytes, counterexample_bytes, pair_table
from secateur.certificate_file import named_file, require_accepted, require_other, require_place, require_readable, sha256_of
from secateur.checker.domain import read_domain as read_certified_domain
from secateur.checker.refusal import Refusal
from secateur.errors import InputError
from secateur.files import path_from, write_atomically
from secateur.models import LoadedModel
from secateur.network.difference import Pairing
from secateur.progress import Progress
from secateur.search import Holds, PhaseEvidence, Verdict, Violated
from secateur.search.question import MOST_GOALS
from secateur.specification import Domain
from secateur.specification.comparison import Comparison
from secateur.version import version

__all__ = ["PairCertificate"]

_GZIP = b"\x1f\x8b"


class PairCertificate:
    """Where a certificate about a claim shall go, and the files that it will speak about, as they are now.

    domain_file : where the domain was read from, if it was. layers, semantics : as in `ComparedFiles`. second_path : where the
    second network shall lie once the certificate is accepted, if not where it is now. InputError for what cannot be certified,
    said before the long work.
    """

    def __init__(
        self,
        path: str | Path,
        claim: Comparison,
        models: tuple[LoadedModel, LoadedModel],
        domain: Domain,
        domain_file: Path | None,
        layers: tuple[int, int] | None = None,
        semantics: str = "real",
        second_path: Path | None = None,
    ) -> None:
        self._second_path = second_path
        self._layers, self._semantics = layers, semantics
        self.path, self._claim, self._models, self._domain = named_file(path), claim, models, domain
        self._own_domain = domain_file if domain_file is not None and _is_certified_form(domain_file, domain) else None
        self._domain_path = self.path.with_suffix(".domain.json") if self._own_domain is None else self._own_domain
        self._require_one_tree()
        self._require_plain_files(domain_file)
        require_place(self.path)
        self._hashes = self._digests()

    def write(self, verdict: Verdict, pairing: Pairing | None, progress: Progress) -> None:
        """Write the certificate of a decided verdict, found with that pairing.

        InputError where the checker does not accept it, or a file has changed.
        """
        if not isinstance(verdict, Holds | Violated):
            return
        if self._digests() != self._hashes:
            raise InputError("a network or the domain changed during the run", where=self._where, remedy="run it again")
        require_accepted(
            lambda folder: self._draft(verdict, pairing, folder),
            self._where,
            progress,
            original=self._models[0].path,
            reduced=self._models[1].path,
        )
        if self._own_domain is None:
            write_atomically(self._domain_path, self._domain.to_json().encode())
        if self._second_path is not None:
            write_atomically(self._second_path, self._models[1].data)
        write_atomically(self.path, self._bytes(verdict, pairing, self.path.parent, self._domain_path))
        progress.note(f"certificate: {self.path}")

    @property
    def _where(self) -> str:
        return f"--certificate {self.path}"

    def _draft(self, verdict: Holds | Violated, pairing: Pairing | None, folder: Path) -> bytes:
        domain = self._own_domain
        if domain is None:
            domain = folder / "domain.json"
            domain.write_text(self._domain.to_json())
        return self._bytes(verdict, pairing, folder, domain)

    def _bytes(self, verdict: Holds | Violated, pairing: Pairing | None, folder: Path, domain: Path) -> bytes:
        first, second = (model.network for model in self._models)
        paths = (self._models[0].path, self._second_path or self._models[1].path, domain)
        original, reduced, box = (FileReference(path_from(folder, p), h) for p, h in zip(paths, self._hashes, strict=True))
        files = ComparedFiles(original, reduced, box, self._layers, self._semantics)
        producer, meant = f"secateur {version()}", self._models[0].meant(self._semantics)
        if isinstance(verdict, Violated):
            point = verdict.witness.exact_inputs[: first.input_size]
            return counterexample_bytes(producer=producer, claim=self._claim, files=files, point=point)
        if pairing is None or len(verdict.proofs) != 1:
            raise InputError("the proof is not one split tree over both networks", where=self._where)
        return comparison_bytes(
            producer=producer,
            claim=self._claim,
            files=files,
            input_size=first.input_size,
            evidence=PhaseEvidence(quantise(meant, self._domain.lower, self._domain.upper).grids),
            levels=pairing.levels,
            pairs=pair_table(pairing, first, second),
            proof=verdict.proofs[0],
        )

    def _require_one_tree(self) -> None:
        first = self._models[0].network
        disjuncts = len(self._claim.negation(first.output_size if self._layers is None else first.sizes[self._layers[0] - 1]))
        if disjuncts > MOST_GOALS:
            problem = f"the claim has {disjuncts} cases, a certificate about two networks holds at most {MOST_GOALS}"
            raise InputError(problem, where=self._where, remedy="ask without a certificate")

    def _require_plain_files(self, domain_file: Path | None) -> None:
        """The checker reads these networks as they are on disk, and nothing that was read may be written over."""
        for model in self._models:
            if _head(model.path) == _GZIP:
                problem = "a certificate about two networks cannot speak about a compressed file"
                raise InputError(problem, where=str(model.path), remedy="decompress it")
            require_readable(model.path.read_bytes(), str(model.path), "ask without a certificate")
        targets = [self.path] if self._own_domain is not None else [self.path, self._domain_path]
        read = [model.path for model in self._models] + ([] if domain_file is None else [domain_file])
        require_other(self.path, targets, read)

    def _digests(self) -> tuple[str, str, str]:
        first, second = (sha256_of(model.path) for model in self._models)
        if self._own_domain is None:
            return first, second, hashlib.sha256(self._domain.to_json().encode()).hexdigest()
        return first, second, sha256_of(self._own_domain)


def _is_certified_form(path: Path, domain: Domain) -> bool:
    """Whether the checker reads the file as this domain."""
    try:
        found = read_certified_domain(path.read_bytes())
    except (Refusal, OSError):
        return False
    return (found.lower, found.upper) == (domain.lower, domain.upper)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(len(_GZIP))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from None
