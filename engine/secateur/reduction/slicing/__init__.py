"""Slicing: a partition of the domain into boxes, and for each of them a smaller network that equals the original there.

Start at `run.py` (the course of a run); `partition.py` cuts, `work.py` reduces one slice in a process of its own, `ledger.py`
keeps what is done, `summary.py` says what came out.
"""

from secateur.reduction.slicing.partition import Partition, Region
from secateur.reduction.slicing.run import Sliced, slice_domain

__all__ = ["Partition", "Region", "Sliced", "slice_domain"]
