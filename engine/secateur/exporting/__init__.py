"""What a certificate claims, written so that other tools can confirm it: VNN-LIB, SMT-LIB, or JSON to read.

Start at `export`. `material.py` finds the files and says what is claimed, `violations.py` what would refute it, `graphs.py` makes
the networks that old tools read, `vnnlib.py`, `smtlib.py` and `readable.py` write. Nothing is verified here: the claims are
those of the certificate, whether or not `secateur check` accepts it; all arithmetic is exact, and where a format forces an
approximation the manifest names its direction.
"""

from secateur.exporting.export import FORMS, Exported, export

__all__ = ["FORMS", "Exported", "export"]
