"""Decisions: what a controller does at one signal in one state.

Owns their JSON form and what they mean in seconds of green. Reading them out of a model's text is
:mod:`shared.completions`, checking them against a state is :mod:`shared.legality`.
"""

import json
from typing import Literal

from pydantic import Field, StrictBool, StrictInt

from shared.model import WireModel

__all__ = ["Decision", "DecisionKind", "Extend", "canonical"]

DecisionKind = Literal["extend"]
"""The kinds that can be scored."""


class Extend(WireModel):
    """Keep the current green for a while, or end it.

    *yes*: the current green lasts ``extend_s`` more seconds from now, cut at the signal's
    ``max_green_s``; then the program goes on with the next phase. *no*: the next phase starts now,
    or as soon as ``min_green_s`` is reached.
    """

    kind: Literal["extend"] = "extend"
    extend: StrictBool
    extend_s: StrictInt = Field(default=5, ge=1, le=3600)
    """Seconds of green added by a *yes*; has no effect on a *no*."""

    def remaining_s(self, elapsed_s: float, min_green_s: float, max_green_s: float) -> float:
        """Seconds the current phase still lasts under this decision.

        This is the argument of SUMO's ``trafficlight.setPhaseDuration``, called before the first
        step.

        >>> Extend(extend=True).remaining_s(elapsed_s=57, min_green_s=5, max_green_s=60)
        3
        >>> Extend(extend=False).remaining_s(elapsed_s=3, min_green_s=5, max_green_s=60)
        2
        """
        if self.extend:
            return max(0, min(self.extend_s, max_green_s - elapsed_s))
        return max(0, min_green_s - elapsed_s)


Decision = Extend
"""Any decision. One kind today; a union discriminated by ``kind`` as they come."""


def canonical(decision: Decision) -> str:
    """The one JSON text of a decision: equal effects of one kind have equal texts.

    ``extend_s`` of a *no* changes nothing, so it does not appear.

    >>> canonical(Extend(extend=False, extend_s=10)) == canonical(Extend(extend=False))
    True
    """
    fields = decision.model_dump()
    if not decision.extend:
        del fields["extend_s"]
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))
