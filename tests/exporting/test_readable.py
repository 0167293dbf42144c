"""The readable form of certificates whose leaves are not all alike."""

from __future__ import annotations

import json
from pathlib import Path

from secateur.cli import main
from tests.checker.query_cases import write_query_certificate
from tests.checker.refutation_cases import TIE, tie_case


def test_trusted_and_refuted_leaves_are_counted(tmp_path: Path) -> None:
    for symbols, evidence, kinds in (
        ([1, 3, 2], [[TIE]], (1, 1)),
        ([1, 2, 2], None, (2, None)),
        ([1, 3, 3], [[TIE], [TIE]], (0, 2)),
    ):
        path, out = write_query_certificate(tmp_path, tie_case(evidence, symbols)), tmp_path / "out.json"
        assert main(["export", str(path), "--json", "--out", str(out)]) == 0
        (part,) = json.loads(out.read_bytes())["parts"]
        assert (part["nodes"], part["leaves"], part["depth"], part["symbols"]) == (3, 2, 1, symbols)
        assert (part["trusted_leaves"], part.get("refuted_leaves")) == kinds
        out.unlink()
