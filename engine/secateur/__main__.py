"""`python -m secateur`."""

from __future__ import annotations

import sys

from secateur.cli import main

sys.exit(main())
