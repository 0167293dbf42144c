"""The report that a person reads: one HTML page made from the summary that programs read.

The summary (`summary.json`) is a JSON object:

- `secateur`: version. `model`: `file`, `sha256`, `name` (of the graph, may be empty). `reduced_model`:
  `file`, `sha256`. `certificate`: `file`, `sha256`, `bytes`.
- `domain`: `description`, `sha256`, and `lower`, `upper`: an exact decimal or fraction per input, as text.
- `neurons`, `parameters`, `bytes`: each `original` and `reduced`, whole numbers; `layers` likewise, each a
  list with the neurons of every hidden layer.
- `status`: how many neurons are `inactive`, `active`, `both`, `unknown`. `neuron_status`: per layer, per
  neuron, `status`, `basis` (`exact`, `tree`, `solver`, `witness`, `none`) and `reason` (text, or null).
- `removed`: every neuron of the original that the reduced network lacks: `layer` (from 1), `neuron` (from 0), `kind` (`phase`,
  `forward`, `relaxed`, `result`), `why` (of this neuron by itself).
- `tolerance`: `requested` and `claimed`, as text (`claimed` is null where the claim is about decisions). `preserve`: `rule` and
  `margin` of the decision to be preserved, or null. `claim`: the proven statement in words, with N, N' and D.
- `steps`: the rewrites in order, each `rule`, `layer` (from 1), `removed` (neurons, from 0), `detail` (how many of
  these are never positive, never negative or linearised, and what took their place).
- `evidence`: how many claims rest on `exact`, `tree`, `solver`; `confirmed_by_smt`; `late_for_smt`, which there was no time to
  confirm; `solver_name`, or null.
  `tree`: `nodes`, `leaves`. `difference`: `nodes` and `trusted` leaves of a proof by differences, or empty.
- `agreement`: `points`, `overflows` (further points, left out because a value is beyond an element type), `max_difference`,
  `float32_noise` (what rounding in the element types may explain), `changed` (points with another winner, null where outputs
  count); or null. `latency`: `original` and `reduced`, each from batch size to median and 95th percentile in microseconds; or
  null.
- `stages`: seconds by name. `seconds`: in all. `interrupted`. `options`: by name.
"""

from secateur.report.page import render

__all__ = ["render"]
