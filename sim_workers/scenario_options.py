"""Which options of a foreign configuration are kept.

An allow-list: an option that nobody has judged is left out.
"""

__all__ = ["DEFAULT_OPTIONS", "FILE_OPTIONS", "SYNONYMS", "is_kept"]

FILE_OPTIONS = ("net-file", "additional-files", "route-files")
"""The options that name input files, in the order in which SUMO loads them."""

SYNONYMS = {
    "n": "net-file",
    "net": "net-file",
    "r": "route-files",
    "route": "route-files",
    "routes": "route-files",
    "a": "additional-files",
    "additional": "additional-files",
    "b": "begin",
    "e": "end",
}

DEFAULT_OPTIONS = {"time-to-teleport": "-1"}
"""What a bundle says where the configuration is silent. Teleporting makes queues vanish that a
decision caused, so a rollout that teleports rewards gridlock."""

_KEPT = {
    "begin",
    "collision.action",
    "collision.check-junctions",
    "collision.mingap-factor",
    "collision.stoptime",
    "default.action-step-length",
    "default.carfollowmodel",
    "default.departlane",
    "default.departpos",
    "default.departspeed",
    "default.emergencydecel",
    "default.speeddev",
    "eager-insert",
    "emergencydecel.warning-threshold",
    "extrapolate-departpos",
    "ignore-accidents",
    "ignore-junction-blocker",
    "ignore-route-errors",
    "insertion-checks",
    "lanechange.duration",
    "lanechange.overtake-right",
    "lateral-resolution",
    "max-depart-delay",
    "max-num-vehicles",
    "no-internal-links",
    "parking.maneuver",
    "pedestrian.model",
    "person-device.rerouting.probability",
    "random-depart-offset",
    "routing-algorithm",
    "scale",
    "scale-suffix",
    "sloppy-insert",
    "step-length",
    "step-method.ballistic",
    "time-to-impatience",
    "time-to-teleport",
    "use-stop-ended",
    "waiting-time-memory",
    "weights.minor-penalty",
    "weights.priority-factor",
    "weights.random-factor",
    "weights.tls-penalty",
}
_KEPT_PREFIXES = (
    "device.rerouting.",
    "pedestrian.striping.",
    "persontrip.",
    "time-to-teleport.",
    "tls.actuated.",
    "tls.delay_based.",
    "tls.yellow.",
)
_NEVER = {"device.rerouting.output", "device.rerouting.threads"}


def is_kept(option: str) -> bool:
    """Whether an option determines the traffic and does nothing else."""
    return option not in _NEVER and (option in _KEPT or option.startswith(_KEPT_PREFIXES))
