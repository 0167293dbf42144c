"""The problem in floats: whether a candidate is worth an exact replay, which costs a thousand times more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from secateur.search.phase_system import PhaseSystem

__all__ = ["FloatTwin"]

Floats = NDArray[np.float64]


class FloatTwin:
    """The rows of a `PhaseSystem` in float64, for its columns. `OverflowError` where a number is beyond floats."""

    def __init__(self, system: PhaseSystem) -> None:
        self._inputs, self._relus = len(system.problem.inputs), len(system.relus)
        matrix = np.zeros((len(system.rows), self._inputs + 2 * self._relus))
        for i, row in enumerate(system.rows):
            for column, coefficient in row.terms:
                matrix[i, column] = coefficient / system.coefficient_unit
        z = range(self._inputs, self._inputs + self._relus)
        definitions = list(system.definitions)
        self._pre = -matrix[definitions]
        self._pre[range(self._relus), z] = 0.0  # the row is z - form; what is left reads inputs and outputs only
        self._goals = matrix[system.first_goal :]
        unit = system.column_unit * system.coefficient_unit
        bounds = np.array([(row.upper or 0) / unit for row in system.rows])
        self._constants, self._goal_bounds = bounds[definitions], bounds[system.first_goal :]
        self._low, self._high = (np.array([bound[j] / system.column_unit for j in z]) for bound in (system.lower, system.upper))

    def violation(self, columns: Floats) -> float:
        """By how much the point given by the inputs among `columns` violates a row or a stated bound; at most 0 if none."""
        values = np.zeros(self._pre.shape[1])
        values[: self._inputs] = columns[: self._inputs]
        excess = -np.inf
        for k, (row, constant) in enumerate(zip(self._pre, self._constants, strict=True)):
            z = float(row @ values) + float(constant)
            values[self._inputs + self._relus + k] = max(z, 0.0)
            excess = max(excess, z - float(self._high[k]), float(self._low[k]) - z)
        return max(excess, float(np.max(self._goals @ values - self._goal_bounds, initial=-np.inf)))
