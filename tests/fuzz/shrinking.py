"""Makes a failing scenario smaller while it fails in the same way."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.fuzz.scenario import DEFINED, Part, Scenario

__all__ = ["shrink"]

_NETWORK_OPTIONS = {
    "left-hand traffic": ("--lefthand",),
    "crossings": ("--sidewalks.guess", "--crossings.guess"),
    "actuated programs": ("--tls.default-type=actuated",),
    "delay-based programs": ("--tls.default-type=delay_based",),
    "NEMA controllers": ("--tls.default-type=NEMA",),
    "bicycle lanes": ("--bikelanes.guess",),
}
"""What can be left out of a network without another name for any of its edges."""
_NEEDED = {"begin", "end", "seed"}
"""Without these options it would be another length of time that is tried, or another seed."""


def shrink(scenario: Scenario, fails: Callable[[Scenario], bool], tries: int) -> Scenario:
    """The smallest scenario that was found to fail.

    Args:
        scenario: One that fails.
        fails: Whether another one fails in the same way.
        tries: How many others are tried at most.
    """
    tried: set[str] = set()
    while True:
        for smaller in _smaller(scenario):
            if (text := smaller.to_json()) in tried:
                continue
            if len(tried) >= tries:
                return scenario
            tried.add(text)
            if fails(smaller):
                scenario = smaller
                break
        else:
            return scenario


def _smaller(scenario: Scenario) -> Iterator[Scenario]:
    """Scenarios with one thing less, the largest things first."""
    parts = scenario.parts
    quick = replace(scenario.settings, only_replays=True, states=1)
    if quick != scenario.settings:
        yield replace(scenario, settings=quick)
    if len(parts) > 1:
        for index in range(len(parts)):
            yield replace(scenario, parts=parts[:index] + parts[index + 1 :])
    for name in dict.fromkeys(each.name for each in scenario.options if each.name not in _NEEDED):
        left = tuple(each for each in scenario.options if each.name != name)
        yield replace(scenario, options=left)
    for style in scenario.styles:
        yield replace(scenario, styles=tuple(s for s in scenario.styles if s != style))
    yield from _simpler_settings(scenario)
    yield from _simpler_networks(scenario)
    for index, part in enumerate(parts):
        for half in _halves(part):
            yield replace(scenario, parts=(*parts[:index], half, *parts[index + 1 :]))


def _simpler_settings(scenario: Scenario) -> Iterator[Scenario]:
    settings = scenario.settings
    for simpler in (
        replace(settings, policy="program"),
        replace(settings, kind="extend"),
        replace(settings, tls_ids=settings.tls_ids[:1]),
    ):
        if simpler != settings:
            yield replace(scenario, settings=simpler)


def _simpler_networks(scenario: Scenario) -> Iterator[Scenario]:
    for feature in scenario.network_features:
        if options := _NETWORK_OPTIONS.get(feature):
            yield replace(
                scenario,
                network=tuple(each for each in scenario.network if each not in options),
                network_features=tuple(f for f in scenario.network_features if f != feature),
            )


def _halves(part: Part) -> Iterator[Part]:
    """The part with half of what departs; its definitions stay."""
    departing = [line for line in part.lines if line.at_s != DEFINED]
    middle = len(departing) // 2
    for half in (departing[:middle], departing[middle:]) if middle else ():
        left = tuple(line for line in part.lines if line.at_s == DEFINED or line in half)
        features = part.features
        if len(half) == 1:
            features = tuple(each for each in features if each != "several flows")
        yield Part(features, left)
