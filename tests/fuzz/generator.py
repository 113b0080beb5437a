"""Draws one scenario: the same seed and number give the same one, always."""

import random
from dataclasses import replace
from pathlib import Path

from tests.fuzz.demand import DEMAND, ON_FOOT, Drawing
from tests.fuzz.networks import Network, draw_network, make_network
from tests.fuzz.scenario import Option, Part, Scenario, Settings
from tests.fuzz.surroundings import SURROUNDINGS, draw_options

__all__ = ["draw_scenario"]

_WRITES_PROGRAMS = {"additional program", "WAUT", "WAUT to off"}


def draw_scenario(seed: int, number: int, networks: Path) -> tuple[Scenario, Network]:
    """A scenario and its network.

    Args:
        seed: Of the whole series.
        number: Which of the series.
        networks: Where networks are kept.
    """
    rng = random.Random(f"{seed}/{number}")
    while True:
        features, options = draw_network(rng)
        network = make_network(options, networks)
        if _signals_with_choice(network):
            break
    begin_s, end_s = rng.choice((0, 0, 0, 25_200)), rng.choice((300, 360, 420))
    end_s += begin_s
    tls_ids = _signals(rng, network)
    parts = _demand(rng, network, begin_s, end_s, has_crossings="crossings" in features)
    parts += _around(rng, network, tls_ids[0], begin_s)
    scenario = Scenario(
        name=f"fuzz-{seed}-{number}",
        network=options,
        network_features=features,
        settings=_settings(rng, tls_ids, {f for part in parts for f in part.features}),
        parts=tuple(parts),
        options=(*_period(rng, begin_s, end_s), *draw_options(rng)),
        styles=_styles(rng),
    )
    if scenario.settings.seed is None:
        own = Option("seed in the configuration", "seed", str(rng.randrange(1, 10_000)))
        scenario = _with_option(scenario, own)
    return scenario, network


def _signals_with_choice(network: Network) -> list[str]:
    """Signals with two greens at least, those with the most phases first."""
    found = [
        tls_id
        for tls_id, phases in sorted(network.programs.items())
        if sum("G" in letters or "g" in letters for _, letters in phases) > 1
    ]
    return sorted(found, key=lambda tls_id: -len(network.programs[tls_id]))


def _signals(rng: random.Random, network: Network) -> tuple[str, ...]:
    """One or two of the signals with the most phases."""
    ranked = _signals_with_choice(network)[:4]
    return tuple(sorted(rng.sample(ranked, min(2, len(ranked)))))


def _demand(
    rng: random.Random, network: Network, begin_s: int, end_s: int, *, has_crossings: bool
) -> list[Part]:
    files: tuple[str, ...] = ("cars.rou.xml",)
    if rng.random() < 0.4:
        files = ("cars.rou.xml", "vans.rou.xml", "more.rou.xml")[: rng.randint(2, 3)]
    drawing = Drawing(rng, network, begin_s, end_s, files)
    weights, kinds = zip(*DEMAND, strict=True)
    chosen = rng.choices(kinds, weights, k=rng.randint(1, 3))
    if has_crossings:
        chosen.append(rng.choice(ON_FOOT))
    parts = []
    for number, kind in enumerate(chosen):
        drawing.number = number
        parts.append(kind(drawing))
    return parts


def _around(rng: random.Random, network: Network, tls_id: str, begin_s: int) -> list[Part]:
    found: list[Part] = []
    for chance, draw in SURROUNDINGS:
        if rng.random() >= chance:
            continue
        part = draw(rng, network, tls_id, begin_s)
        has_program = any(_WRITES_PROGRAMS & set(each.features) for each in found)
        if not (has_program and _WRITES_PROGRAMS & set(part.features)):
            found.append(part)
    return found


def _period(rng: random.Random, begin_s: int, end_s: int) -> list[Option]:
    """Begin and end, as the configuration has them."""
    options = []
    if begin_s:
        options.append(Option("begin in the morning", "begin", str(begin_s)))
    elif rng.random() < 0.06:
        options.append(Option("begin amid the demand", "begin", str(rng.choice((30, 45.5)))))
    if rng.random() < 0.85:
        options.append(Option("end", "end", str(end_s)))
    return options


def _settings(rng: random.Random, tls_ids: tuple[str, ...], features: set[str]) -> Settings:
    kind = "phase" if rng.random() < 0.2 and not features & {"WAUT", "WAUT to off"} else "extend"
    return Settings(
        tls_ids=tls_ids,
        seed=rng.randrange(1, 10_000) if rng.random() < 0.9 else None,
        warmup_s=rng.choice((60, 90, 120)),
        every_s=rng.choice((40, 55)),
        states=2 if kind == "phase" else 3,
        horizon_s=rng.choice((10, 15, 30)),
        kind=kind,
        policy="random" if rng.random() < 0.15 else "program",
        only_replays=rng.random() < 0.2,
    )


def _styles(rng: random.Random) -> tuple[str, ...]:
    chances = {
        "default namespace": 0.07,
        "percent-encoded names": 0.04,
        "accents in file names": 0.03,
        "variables in file names": 0.03,
        "gzipped": 0.03,
    }
    styles = [style for style, chance in chances.items() if rng.random() < chance]
    return tuple(styles[:2] if "default namespace" in styles else styles[:1])


def _with_option(scenario: Scenario, option: Option) -> Scenario:
    return replace(scenario, options=(*scenario.options, option))
