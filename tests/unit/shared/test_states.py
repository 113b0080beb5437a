"""What a state's record promises."""

import pytest

from shared.states import Restore, Simulator, StateRecord


@pytest.mark.parametrize(
    ("restore", "horizon_s", "said"),
    [
        ("state", 60, "state"),
        ("state", 61, "unverified"),
        ("replay", 61, "replay"),
        ("unverified", 1, "unverified"),
    ],
)
def test_a_reward_beyond_the_proof_is_unverified(
    restore: Restore, horizon_s: int, said: Restore
) -> None:
    """Only as many seconds as were proven when the state was saved may call themselves exact."""
    record = StateRecord(
        state_id="a@1-0",
        scenario_id="a-0",
        time_s=1,
        seed=0,
        restore=restore,
        verified_s=60,
        simulator=Simulator(version="1.28.0"),
        signals={},
    )
    assert record.restore_over(horizon_s) == said
