"""The certificate of a verdict on a query: made, accepted by the checker, and only then written.

Requires a query file about one network. A refutation is certified by its split trees, a witness by its exact point.
"""

from __future__ import annotations

from pathlib import Path

from secateur.certificate import FileReference, refutation_bytes, satisfaction_bytes
from secateur.certificate_file import named_file, require_accepted, require_other, require_place, require_readable, sha256_of
from secateur.errors import InputError
from secateur.files import path_from, write_atomically
from secateur.progress import Progress
from secateur.search import Holds, Verdict, Violated
from secateur.version import version

__all__ = ["CertificateTarget"]


class CertificateTarget:
    """Where a certificate shall go, and the two files that it will speak about, as they are now; `semantics` of a refutation.

    Raises InputError where the certificate would be written over one of them, its folder cannot be written, or a file cannot be
    read.
    """

    def __init__(self, path: str | Path, network: Path, query: Path, semantics: str = "real") -> None:
        self.path, self._network, self._query, self._semantics = named_file(path), network, query, semantics
        require_other(self.path, [self.path], [network, query])
        self._hashes = self._digests()
        require_readable(network.read_bytes(), str(network), "ask without a certificate")
        require_place(self.path)

    def write(self, verdict: Verdict, input_size: int, progress: Progress) -> None:
        """Write the certificate of a decided verdict; InputError where the checker does not accept it, or a file has changed."""
        if isinstance(verdict, Holds | Violated):
            if self._digests() != self._hashes:
                raise InputError("the network or the query changed during the run", where=str(self._query), remedy="run it again")
            require_accepted(
                lambda folder: self._bytes(verdict, input_size, folder),
                str(self._query),
                progress,
                original=self._network,
                query=self._query,
            )
            write_atomically(self.path, self._bytes(verdict, input_size, self.path.parent))
            progress.note(f"certificate: {self.path}")

    def _bytes(self, verdict: Holds | Violated, input_size: int, folder: Path) -> bytes:
        producer = f"secateur {version()}"
        network = FileReference(path_from(folder, self._network), self._hashes[0])
        query = FileReference(path_from(folder, self._query), self._hashes[1])
        if isinstance(verdict, Holds):
            return refutation_bytes(
                producer=producer,
                network=network,
                query=query,
                input_size=input_size,
                proofs=verdict.proofs,
                semantics=self._semantics,
            )
        return satisfaction_bytes(producer=producer, network=network, query=query, point=verdict.witness.exact_inputs)

    def _digests(self) -> tuple[str, str]:
        return sha256_of(self._network), sha256_of(self._query)
