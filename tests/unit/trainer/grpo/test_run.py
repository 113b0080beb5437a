"""What the settings of a GRPO run mean for its requests."""

from types import SimpleNamespace

import pytest
from transformers import TrainerState

from trainer.grpo.config import GRPOTrainingConfig
from trainer.grpo.run import _deal_seed, _terms


@pytest.mark.parametrize("is_on", [True, False])
def test_settings_reach_the_scoring(is_on: bool) -> None:
    """Those that change what a reward is."""
    config = GRPOTrainingConfig(invalid_as_worst=is_on, shuffle_rewards=is_on)
    terms = _terms(config, lambda: "7")
    assert (terms.is_invalid_worst, terms.deal_seed is not None) == (is_on, is_on)


def test_every_batch_of_every_rank_is_dealt_by_another_seed() -> None:
    """By what a resumed run knows as well: the numbers of the rank and of the step."""

    def trainer(rank: int, step: int) -> SimpleNamespace:
        accelerator = SimpleNamespace(process_index=rank)
        return SimpleNamespace(accelerator=accelerator, state=TrainerState(global_step=step))

    seeds = [_deal_seed(7, trainer(rank, step)) for rank in range(2) for step in range(12)]
    assert len(set(seeds)) == len(seeds)
    assert _deal_seed(7, trainer(1, 11)) == seeds[-1]
    assert _deal_seed(8, trainer(1, 11)) != seeds[-1]
