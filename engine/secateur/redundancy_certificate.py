"""The certificate of a redundancy claim: one about two files, the network and the linearised one, which is written beside it.

Phases have none here: a certificate about two networks does not speak of them, and `secateur prune` certifies them.
"""

from __future__ import annotations

from pathlib import Path

from secateur.certificate_file import named_file, require_place, require_readable
from secateur.errors import InputError
from secateur.files import temporary_name, write_atomically
from secateur.models import LoadedModel, ModelStore
from secateur.network.onnx_writer import PRODUCER
from secateur.pair_certificate import PairCertificate
from secateur.progress import Progress
from secateur.reduction.linearise import Linearised
from secateur.reduction.redundancy import Redundancy
from secateur.reduction.redundancy_claim import RedundancyClaim
from secateur.search import Unknown
from secateur.specification import Domain

__all__ = ["RedundancyCertificate"]


class RedundancyCertificate:
    """Where the certificate of a claim shall go. InputError where there can be none, said before the long work."""

    def __init__(
        self, path: str | Path, claim: RedundancyClaim, model: LoadedModel, domain: Domain, domain_file: Path | None
    ) -> None:
        self.path, self._model, self._domain, self._domain_file = named_file(path), model, domain, domain_file
        self.network_path = self.path.with_suffix(".linearised.onnx")
        where = f"--certificate {path}"
        if claim.kind == "phase":
            raise InputError("phases have no certificate of their own", where=where, remedy="secateur prune certifies them")
        if self.network_path.exists() and not self._is_left_over():
            raise InputError(f"would overwrite {self.network_path}", where=where, remedy="choose another name")
        require_readable(model.path.read_bytes(), str(model.path), "ask without a certificate")
        require_place(self.path)

    def write(self, found: Redundancy, progress: Progress) -> None:
        """Write both files if the claim is decided; neither where the checker does not accept the certificate (InputError)."""
        if isinstance(found.verdict, Unknown) or found.linearised is None or found.data is None:
            return
        draft = self.network_path.with_name(temporary_name(self.network_path.name))
        write_atomically(draft, found.data)
        try:
            models = self._model, ModelStore().load(draft)
            layers = self._layers(found.claim, found.linearised)
            claim, place = found.claim.comparison(), self.network_path
            target = PairCertificate(self.path, claim, models, self._domain, self._domain_file, layers, second_path=place)
            target.write(found.verdict, found.linearised.pairing, progress)
        except BaseException:
            if not self.path.exists():
                self.network_path.unlink(missing_ok=True)
            raise
        finally:
            draft.unlink(missing_ok=True)
        progress.note(f"the linearised network: {self.network_path}")

    def _is_left_over(self) -> bool:
        """Whether the network is there because a run was killed between its two files."""
        import onnx

        try:
            return not self.path.exists() and onnx.load(self.network_path).producer_name == PRODUCER
        except Exception:  # protobuf's exceptions have no closer base class; then it is nothing of ours
            return False

    def _layers(self, claim: RedundancyClaim, linearised: Linearised) -> tuple[int, int] | None:
        watched = claim.watched_layer(self._model.network)
        return None if watched is None else (watched, linearised.own_layer(watched))
