"""Which options of a foreign configuration are kept.

An allow-list: an option that nobody has judged is left out. Judged against SUMO 1.28.
"""

import re

__all__ = ["DEFAULT_OPTIONS", "FILE_OPTIONS", "SYNONYMS", "is_kept", "is_off", "why_refused"]

FILE_OPTIONS = ("net-file", "additional-files", "route-files", "weight-files")
"""The options that name input files, in the order in which SUMO loads them."""

SYNONYMS = {
    "n": "net-file",
    "net": "net-file",
    "r": "route-files",
    "route": "route-files",
    "routes": "route-files",
    "a": "additional-files",
    "additional": "additional-files",
    "w": "weight-files",
    "weights": "weight-files",
    "x": "weight-attribute",
    "measure": "weight-attribute",
    "b": "begin",
    "e": "end",
    "s": "route-steps",
    "srand": "seed",
    "abs-rand": "random",
    "carfollow.model": "default.carfollowmodel",
    "railsignal.moving-block": "railsignal-moving-block",
    "taxi.vclasses": "device.taxi.vclasses",
    "with-taz": "device.rerouting.with-taz",
    "device.routing.adaptation-interval": "device.rerouting.adaptation-interval",
    "device.routing.adaptation-steps": "device.rerouting.adaptation-steps",
    "device.routing.adaptation-weight": "device.rerouting.adaptation-weight",
    "device.routing.period": "device.rerouting.period",
    "device.routing.pre-period": "device.rerouting.pre-period",
    "device.routing.with-taz": "device.rerouting.with-taz",
    "person-device.routing.period": "person-device.rerouting.period",
}

DEFAULT_OPTIONS = {"time-to-teleport": "-1"}
"""What a bundle says where the configuration is silent. Teleporting makes queues vanish that a
decision caused, so a rollout that teleports rewards gridlock."""

_KEPT = {
    "begin",
    "collision.action",
    "collision.check-junctions",
    "collision.check-junctions.mingap",
    "collision.mingap-factor",
    "collision.stoptime",
    "default.action-step-length",
    "default.carfollowmodel",
    "default.departlane",
    "default.departspeed",
    "default.emergencydecel",
    "default.speeddev",
    "eager-insert",
    "emergency-insert",
    "emergencydecel.warning-threshold",
    "extrapolate-departpos",
    "ignore-accidents",
    "ignore-junction-blocker",
    "ignore-route-errors",
    "insertion-checks",
    "intermodal-collision.action",
    "intermodal-collision.stoptime",
    "junction-taz",
    "lanechange.duration",
    "lanechange.overtake-right",
    "lateral-resolution",
    "mapmatch.distance",
    "mapmatch.junctions",
    "mapmatch.taz",
    "max-depart-delay",
    "max-num-persons",
    "max-num-vehicles",
    "no-internal-links",
    "parking.maneuver",
    "pedestrian.model",
    "pedestrian.timegap-crossing",
    "railsignal-moving-block",
    "railway.max-train-length",
    "random-depart-offset",
    "replay-rerouting",
    "ride.stop-tolerance",
    "route-steps",
    "routing-algorithm",
    "scale",
    "scale-suffix",
    "slope-centered",
    "sloppy-insert",
    "startup-wait-threshold",
    "step-length",
    "step-method.ballistic",
    "time-to-impatience",
    "time-to-teleport",
    "tls.all-off",
    "use-stop-ended",
    "use-stop-started",
    "waiting-time-memory",
    "weight-attribute",
    "weights.minor-penalty",
    "weights.priority-factor",
    "weights.random-factor",
    "weights.random-factor.dynamic",
    "weights.reversal-penalty",
    "weights.separate-turns",
    "weights.tls-penalty",
    "weights.turnaround-penalty",
}
_KEPT_PREFIXES = (
    "device.battery.",
    "device.bluelight.",
    "device.driverstate.",
    "device.elechybrid.",
    "device.friction.",
    "device.glosa.",
    "device.rerouting.",
    "device.stationfinder.",
    "device.taxi.",
    "device.toc.",
    "overhead-wire.",
    "pedestrian.jupedsim.",
    "pedestrian.striping.",
    "person-device.rerouting.",
    "persontrip.",
    "railsignal.",
    "time-to-teleport.",
    "tls.actuated.",
    "tls.delay_based.",
    "tls.yellow.",
)
_NEVER = re.compile(r".*\.(file|files|output|py|threads|wkt|wkt\.geo)")
"""Options of devices and models that write, or that make a run depend on the machine."""

_REFUSED = {
    "astar.all-distances": "it reads a table of distances",
    "astar.landmark-distances": "it reads a table of distances",
    "device.fcd-replay.file": "it replays recorded vehicles",
    "device.fcd-replay.files": "it replays recorded vehicles",
    "load-state": "it continues a saved state; begin with the demand that led there",
}
"""Files that determine the traffic and do not go into a bundle. Never left out in silence."""

_OFF = {"", "-", "0", "f", "false", "no", "off"}


def is_kept(option: str) -> bool:
    """Whether an option determines the traffic and does nothing else."""
    is_listed = option in _KEPT or option.startswith(_KEPT_PREFIXES)
    return is_listed and not _NEVER.fullmatch(option)


def is_off(value: str) -> bool:
    """Whether a value says *no* or nothing, so that leaving the option out changes nothing.

    >>> is_off("false"), is_off("out.xml")
    (True, False)
    """
    return value.strip().lower() in _OFF


def why_refused(option: str, value: str) -> str | None:
    """Why a scenario cannot be used with this option, nor without it; None if it can."""
    if is_off(value):
        return None
    if (option, value.strip()) == ("pedestrian.model", "remote"):
        return "its pedestrians are moved by another program"
    return _REFUSED.get(option)
