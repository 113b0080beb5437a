"""A behaviour policy out of a file: decisions that somebody stored, repeated in a run.

The file holds JSON lines: ``time_s``, ``tls_id``, and ``extend`` or a whole extend ``decision``::

    {"time_s": 25205, "tls_id": "C", "extend": true}
    {"time_s": 25210, "tls_id": "C", "decision": {"kind": "extend", "extend": false}}
"""

from collections.abc import Collection
from pathlib import Path
from typing import Self

from pydantic import Field, StrictBool, ValidationError, model_validator

from shared.decisions import Extend
from shared.errors import ConfigError
from shared.model import WireModel
from sim_workers.engine.policies import PolicySpec

__all__ = ["check_stored", "read_stored_policy"]

_CODE = "bad_actions"


class _Line(WireModel):
    time_s: float = Field(ge=0)
    tls_id: str
    extend: StrictBool | None = None
    decision: Extend | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.extend is None) == (self.decision is None):
            raise ValueError('give either "extend" or "decision"')
        return self

    @property
    def is_extended(self) -> bool:
        return self.decision.extend if self.decision is not None else bool(self.extend)


def read_stored_policy(path: Path, extend_s: int, epsilon: float = 0.0) -> PolicySpec:
    """Reads stored decisions.

    Args:
        path: The file.
        extend_s: Seconds between decisions, and added by a *yes*.
        epsilon: Share of the decisions that are made by coin instead.

    Raises:
        ConfigError: ``bad_actions``: the file cannot be read, or a line of it, which is named.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"cannot read the actions in {path}: {exc}", _CODE) from exc
    stored: dict[str, dict[float, bool]] = {}
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            line = _Line.model_validate_json(text)
        except ValidationError as exc:
            raise _bad_line(path, number, _first_problem(exc)) from exc
        if line.decision is not None and line.is_extended and line.decision.extend_s != extend_s:
            said = f"a yes adds {extend_s} s in this build, not {line.decision.extend_s}"
            raise _bad_line(path, number, said)
        if line.time_s in stored.setdefault(line.tls_id, {}):
            said = f"there is already a decision at {line.tls_id} at {line.time_s:g} s"
            raise _bad_line(path, number, said)
        stored[line.tls_id][line.time_s] = line.is_extended
    if not stored:
        raise ConfigError(f"{path} contains no actions", _CODE)
    return PolicySpec(name="stored", epsilon=epsilon, extend_s=extend_s, stored=stored)


def check_stored(policy: PolicySpec, tls_ids: Collection[str], begin_s: float) -> None:
    """Refuses stored decisions that would never be carried out.

    Args:
        policy: Any policy.
        tls_ids: The network's signals.
        begin_s: Begin of the simulation, from where moments of decision are counted.

    Raises:
        ConfigError: ``bad_actions``: a signal that the network does not have, or a time at which
            the policy is not asked.
    """
    for tls_id, decisions in (policy.stored or {}).items():
        if tls_id not in tls_ids:
            raise ConfigError(
                f"the stored actions name signal {tls_id!r}; "
                f"the network has {', '.join(sorted(tls_ids))}",
                _CODE,
            )
        for time_s in decisions:
            if time_s < begin_s or (time_s - begin_s) % policy.extend_s != 0:
                raise ConfigError(
                    f"the stored action at {tls_id} at {time_s:g} s would never be carried out: "
                    f"decisions are made every {policy.extend_s} s from {begin_s:g} s on",
                    _CODE,
                )


def _bad_line(path: Path, number: int, problem: str) -> ConfigError:
    return ConfigError(f"{path}, line {number}: {problem}", _CODE)


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]
