"""What is said of a comparison with the user's own simulation. Nothing is simulated here."""

import pytest

from shared.errors import FidelityError
from sim_workers.verification.fidelity import Comparison, Difference, grouped_warnings


def test_warnings_of_one_kind_are_told_once() -> None:
    """Names and numbers aside; the most frequent first, and nothing else that SUMO says."""
    log = (
        "Loading net-file ... done\n"
        "Warning: Teleporting vehicle 'a'; waited too long, time=300.00.\n"
        "Warning: Lane 'x_0' is not connected.\n"
        "Warning: Teleporting vehicle 'b'; waited too long, time=0:12:07.\n"
        "Error: Warning: no\n"
        "Warning: Teleporting vehicle ''; waited too long, time=9.\n"
    )
    assert grouped_warnings(log) == (
        "Teleporting vehicle 'a'; waited too long, time=300.00. (and 2 more like it)",
        "Lane 'x_0' is not connected.",
    )


def test_log_without_warnings_has_none() -> None:
    """Whatever else is in it."""
    assert grouped_warnings("") == ()
    assert grouped_warnings("Step #12.00") == ()


@pytest.mark.parametrize(
    ("thing", "own", "ours", "cause"),
    [
        ("vehicle a", "('e_0', 5.0, 1.0)", None, "demand was read or drawn differently"),
        ("person p", None, "('e', 5.0)", "demand was read or drawn differently"),
        ("signal c", "GGrr", "rrGG", "the signals run different programs"),
        ("vehicle a", "('e_0', 5.0, 1.0)", "('e_0', 5.5, 1.0)", "something was drawn"),
    ],
)
def test_first_difference_names_what_differs_and_the_likely_cause(
    thing: str, own: str | None, ours: str | None, cause: str
) -> None:
    """With the second, both sides, and how much else differs then."""
    said = str(Difference(12.0, thing, own, ours, 3))
    assert said.startswith(f"at 12 s {thing} is ")
    assert f"is {own or 'not there'} in the user's own simulation and {ours or 'not there'}" in said
    assert "3 differ" in said
    assert cause in said


def test_same_simulation_passes() -> None:
    """Also one that depends on the order of memory, which is noted elsewhere."""
    Comparison(900, None, None, (), 1.0).check()


def test_another_simulation_is_refused_with_the_way_out() -> None:
    """The message says what differs, and that one may go on in spite of it, and at what price."""
    difference = Difference(12.0, "vehicle a", "x", None, 1)
    with pytest.raises(FidelityError, match="--allow-deviation") as refused:
        Comparison(12.0, difference, None, (), 1.0).check()
    assert refused.value.code == "other_simulation"
    assert str(difference) in refused.value.message
    assert '"fidelity": "bundle"' in refused.value.message
