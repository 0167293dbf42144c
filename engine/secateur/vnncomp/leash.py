"""`python -m secateur.vnncomp.leash WORDS...`: as `secateur WORDS...`, but for no longer than whoever started it lives.

Standard input is a pipe that nobody writes to. Its end tells that the process at the other end has gone, killed perhaps: then
nobody waits for the answer, and this process ends at once. (Its solvers end with it.)
"""

from __future__ import annotations

import os
import runpy
import threading

__all__: list[str] = []


def _watch() -> None:
    while os.read(0, 1 << 10):
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_watch, daemon=True).start()
    runpy.run_module("secateur", run_name="__main__", alter_sys=True)
