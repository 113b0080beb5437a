"""Signals that have a choice are decided; the others are named."""

import pytest

from shared.errors import ScenarioError, UnknownSignal
from shared.signals import Phase, Program, Signal
from sim_workers.datasets.signal_choice import choose_signals


def _signal(tls_id: str, *states: str) -> Signal:
    phases = tuple(Phase(duration_s=30, state=state) for state in states)
    program = Program(program_id="0", kind="static", phases=phases)
    return Signal(
        tls_id=tls_id,
        incoming_lanes=(),
        outgoing_lanes=(),
        programs={"0": program},
        min_green_s=5,
        max_green_s=60,
    )


_SIGNALS = {
    signal.tls_id: signal
    for signal in (
        _signal("b", "Gr", "rG"),
        _signal("a", "Gr", "yr", "rG"),
        _signal("single", "GG"),
        _signal("dark", "oo", "OO"),
    )
}


def _choose(signals: dict[str, Signal], *tls_ids: str) -> tuple[list[str], list[str]]:
    choice = choose_signals(signals, dict.fromkeys(signals, "0"), tls_ids)
    return [signal.tls_id for signal in choice.decided], list(choice.undecidable)


def test_all_that_have_a_choice_are_decided() -> None:
    """In the order of their ids, as the others are named."""
    assert _choose(_SIGNALS) == (["a", "b"], ["dark", "single"])


def test_those_asked_for_are_decided_in_that_order() -> None:
    """Each once."""
    assert _choose(_SIGNALS, "b", "a", "b") == (["b", "a"], ["dark", "single"])


def test_signal_that_is_off_may_run_a_program_later() -> None:
    """SUMO makes a program of being off when it happens; the others decide whether it counts."""
    assert choose_signals({"a": _SIGNALS["a"]}, {"a": "off"}, ()).decided == (_SIGNALS["a"],)
    with pytest.raises(ScenarioError, match="unknown program 'off'"):
        choose_signals({"dark": _SIGNALS["dark"]}, {"dark": "off"}, ())


@pytest.mark.parametrize("tls_ids", [(), ("dark",)])
def test_nothing_to_decide_says_why(tls_ids: tuple[str, ...]) -> None:
    """Whether it was asked for or all are so."""
    with pytest.raises(ScenarioError, match="dark: no green phase") as caught:
        _choose({"dark": _SIGNALS["dark"]}, *tls_ids)
    assert caught.value.code == "nothing_to_decide"


def test_asking_for_one_without_a_choice_is_an_error() -> None:
    """Even beside one that has a choice; only the one at fault is named."""
    with pytest.raises(ScenarioError, match=r"at single: one green phase only$"):
        _choose(_SIGNALS, "a", "single")


def test_unknown_signal_names_those_there_are() -> None:
    """All of them."""
    with pytest.raises(UnknownSignal, match="no signal 'x'; it has a, b, dark, single"):
        _choose(_SIGNALS, "x")


def test_network_without_signals_is_refused() -> None:
    """With its own code."""
    with pytest.raises(ScenarioError) as caught:
        _choose({})
    assert caught.value.code == "no_signal"
