"""Which options of a user's configuration are kept, which are left out, and which are refused.

Every option of SUMO 1.28 has been classified. Options that may move a vehicle or draw a random
number are kept. Options that only write, log, listen or draw pictures are left out. (Outputs do not
determine whether a device draws random numbers; its own ``probability`` does, and that is kept.)
Options that cannot be kept, but without which the simulation would be a different one, are refused
by name, and so are unknown options.
"""

import re

__all__ = [
    "DEFAULT_OPTIONS",
    "FILE_OPTIONS",
    "NOWHERE",
    "OUTPUT_OPTIONS",
    "SYNONYMS",
    "is_kept",
    "is_left_out",
    "is_off",
    "why_refused",
]

NOWHERE = "/dev/null"
"""Where outputs go."""

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
"""Options given if the configuration does not set them. Teleporting makes queues disappear
that a decision caused, so a rollout with teleports would reward gridlock."""

_KEPT = frozenset(
    """
    begin collision.action collision.check-junctions collision.check-junctions.mingap
    collision.mingap-factor collision.stoptime default.action-step-length default.carfollowmodel
    default.departlane default.departspeed default.emergencydecel default.speeddev eager-insert
    emergency-insert emergencydecel.warning-threshold end extrapolate-departpos ignore-accidents
    ignore-junction-blocker ignore-route-errors insertion-checks intermodal-collision.action
    intermodal-collision.stoptime junction-taz keep-after-arrival lanechange.duration
    lanechange.overtake-right lateral-resolution mapmatch.distance mapmatch.junctions mapmatch.taz
    max-depart-delay max-num-persons max-num-teleports max-num-vehicles no-internal-links
    parking.maneuver pedestrian.model pedestrian.timegap-crossing railsignal-moving-block
    railway.max-train-length random-depart-offset replay-rerouting ride.stop-tolerance route-steps
    routing-algorithm scale scale-suffix slope-centered sloppy-insert startup-wait-threshold
    step-length step-method.ballistic thread-rngs time-to-impatience time-to-teleport tls.all-off
    use-stop-ended use-stop-started waiting-time-memory weight-attribute weights.minor-penalty
    weights.priority-factor weights.random-factor weights.random-factor.dynamic
    weights.reversal-penalty weights.separate-turns weights.tls-penalty weights.turnaround-penalty
    """.split()  # noqa: SIM905  a list to be read
)
_KEPT_PREFIXES = tuple(
    """
    device. emissions. overhead-wire. pedestrian.jupedsim. pedestrian.striping. person-device.
    persontrip. phemlight-temperature phemlight-year railsignal. time-to-teleport. tls.actuated.
    tls.delay_based. tls.yellow.
    """.split()  # noqa: SIM905  a list to be read
)
"""These include all devices, even those that only write: all draw from the same generator."""

OUTPUT_OPTIONS = frozenset(
    """
    amitran-output battery-output bt-output chargingstations-output collision-output deadlock-output
    device.rerouting.output device.taxi.dispatch-algorithm.output device.taxi.idle-algorithm.output
    device.toc.file edgedata-output elechybrid-output emission-output error-log fcd-output
    full-output lanechange-output lanedata-output link-output log message-log netstate-dump
    overheadwiresegments-output pedestrian.jupedsim.py pedestrian.jupedsim.wkt person-fcd-output
    person-summary-output personinfo-output personroute-output queue-output railsignal-block-output
    railsignal-vehicle-output statistic-output stop-output substations-output summary-output
    tripinfo-output vehroute-output vtk-output
    """.split()  # noqa: SIM905  a list to be read
)
"""Options that name a file to write."""
_LEFT_OUT = OUTPUT_OPTIONS.union(
    """
    aggregate-warnings alternative-net-file breakpoints delay demo device.rerouting.threads
    device.ssm.file disable-textures edgedata-files game game.mode gui-settings-file gui-testing
    gui-testing-debug gui-testing.setting-output help human-readable-time language log.processid
    log.timestamps mesosim no-step-log no-warnings num-clients pedestrian.jupedsim.wkt.geo
    phemlight-path precision precision.geo print-options quit-on-end random registry-viewport
    remote-port save-commented save-configuration save-configuration.relative save-schema
    save-template seed selection-file start step-log.period threads tracker-interval verbose version
    window-pos window-size write-license write-metadata xml-validation xml-validation.net
    xml-validation.routes
    """.split()  # noqa: SIM905  a list to be read
)
"""Options that affect neither movements nor random numbers: ``seed`` and ``random`` because every
run is given a seed, ``threads`` because each lane has a generator of its own."""
_LEFT_OUT_PARTS = re.compile(
    r"(.*-output|netstate-dump|duration-log|meso|output|save-state)[.-].*|device\.ssm\.filter-.*"
)
"""Prefixes of options that only configure one of those."""

_REFUSED = {
    "astar.all-distances": "it reads a table of distances",
    "astar.landmark-distances": "it reads a table of distances",
    "configuration-file": "it names another configuration; name that one instead",
    "load-state": "it continues a saved state; begin with the demand that led there",
    "load-state.offset": "it continues a saved state; begin with the demand that led there",
    "load-state.remove-vehicles": "it continues a saved state; begin with the demand that led "
    "there",
    "mesosim": "a mesoscopic simulation has no lanes to queue on; set it to false for the "
    "microscopic model, which is a different simulation",
}
"""Options without which the simulation would be different, and which cannot be kept."""
_REFUSED_PREFIX = "device.fcd-replay."

_OFF = {"", "-", "0", "f", "false", "no", "off"}


def is_kept(option: str) -> bool:
    """Whether an option may move a vehicle or draw a random number.

    >>> is_kept("device.fcd.probability"), is_kept("fcd-output"), is_kept("end")
    (True, False, True)
    """
    is_listed = option in _KEPT or option.startswith(_KEPT_PREFIXES)
    return is_listed and not is_left_out(option) and why_refused(option, "true") is None


def is_left_out(option: str) -> bool:
    """Whether an option neither moves anything nor draws random numbers, and need not be kept.

    >>> is_left_out("tripinfo-output"), is_left_out("tripinfo-output.write-unfinished")
    (True, True)
    >>> is_left_out("thread-rngs")
    False
    """
    return option in _LEFT_OUT or _LEFT_OUT_PARTS.fullmatch(option) is not None


def is_off(value: str) -> bool:
    """Whether a value means *no* or nothing, so that leaving the option out changes nothing.

    >>> is_off("false"), is_off("out.xml")
    (True, False)
    """
    return value.strip().lower() in _OFF


def why_refused(option: str, value: str) -> str | None:
    """Why a scenario can be used neither with this option nor without it; None if it can."""
    if is_off(value):
        return None
    if (option, value.strip()) == ("pedestrian.model", "remote"):
        return "its pedestrians are moved by another program"
    if option.startswith(_REFUSED_PREFIX):
        return "it replays recorded vehicles"
    return _REFUSED.get(option)
