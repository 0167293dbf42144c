"""`python -m secateur.checker`."""

from __future__ import annotations

import sys

from secateur.checker.command import main

sys.exit(main())
