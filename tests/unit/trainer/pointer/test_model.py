"""A selector's log-probabilities are those of choosing without repeating."""

from collections.abc import Iterator
from itertools import permutations

import pytest
import torch

from shared.errors import DatasetError
from trainer.pointer.dataset import BeamDataset
from trainer.pointer.model import PAD, PointerModel, PointerShape
from trainer.pointer.selection import select


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    """Nothing is trained here."""
    with torch.no_grad():
        yield


def _model(has_end: bool = False, seed: int = 0, query_size: int = 3) -> PointerModel:
    torch.manual_seed(seed)
    shape = PointerShape(
        pool_size=4,
        candidate_size=3,
        query_size=query_size,
        length=2 + has_end,
        has_end=has_end,
        hidden_size=8,
        layers=1,
        attention_heads=2,
    )
    model = PointerModel.new(shape, torch.randn(4, 3), torch.randn(5, query_size))
    model.eval()  # type: ignore[no-untyped-call]
    return model


def _all(count: int = 2) -> torch.Tensor:
    return torch.tensor(list(permutations(range(4), count)))


def test_all_sequences_together_have_a_probability_of_one() -> None:
    """Of two different items of four, in order: twelve; a repeated one is none of them."""
    model, sequences = _model(), _all()
    logps = model(torch.randn(1, 3).expand(len(sequences), -1), sequences)
    assert float(logps.sum(-1).exp().sum()) == pytest.approx(1, abs=1e-5)
    repeated = model(torch.randn(1, 3), torch.tensor([[2, 2]]))
    assert float(repeated[0, 1].exp()) == 0


def test_where_a_selection_ends_is_a_choice() -> None:
    """None, one or two of four, each with its end: the probabilities sum to one."""
    model = _model(has_end=True)
    whole = [[4, PAD, PAD], *([a, 4, PAD] for a in range(4)), *([a, b, 4] for a, b in _all())]
    sequences = torch.tensor(whole)
    logps = model(torch.randn(1, 3).expand(len(sequences), -1), sequences)
    open_ended = torch.tensor([[a, b, c] for a, b, c in permutations(range(4), 3)])
    rest = model(torch.randn(1, 3).expand(len(open_ended), -1), open_ended)
    assert rest.shape == (24, 3)
    query = torch.zeros(1, 3)
    ended = model(query.expand(len(sequences), -1), sequences).sum(-1).exp().sum()
    longer = model(query.expand(len(open_ended), -1), open_ended).sum(-1).exp().sum()
    assert float(ended + longer) == pytest.approx(1, abs=1e-5)
    assert bool((logps[0, 1:] == 0).all())


def test_a_choice_depends_on_what_is_chosen_already() -> None:
    """And on the query, but not on what follows."""
    model = _model()
    query = torch.randn(1, 3)
    after = [model.logits(query, torch.tensor([[first, 3]]))[0, 1, 2] for first in (0, 1)]
    assert after[0] != after[1]
    first = [model(query, torch.tensor([[0, second]]))[0, 0] for second in (1, 2)]
    assert first[0] == first[1]
    assert model(query + 1, torch.tensor([[0, 1]]))[0, 0] != first[0]


def test_a_new_selector_prefers_what_is_like_the_query() -> None:
    """Where both have embeddings of one size; else there is nothing to compare."""
    model = _model()
    items = model._items()
    asked = items[2] * model.query_scale + model.query_mean  # type: ignore[operator]
    assert select(model, asked[None], 1)[0][0].places[0] == 2
    assert _model(query_size=7)(torch.randn(2, 7), torch.tensor([[0, 1], [2, 3]])).shape == (2, 2)


def test_the_likeliest_selections_are_found() -> None:
    """A wide search finds what trying all finds, with the same log-probabilities."""
    model, query, sequences = _model(seed=4), torch.randn(1, 3), _all()
    totals = model(query.expand(len(sequences), -1), sequences).sum(-1)
    best = totals.argsort(descending=True)[:3]
    (found,) = select(model, query, 12)
    assert [one.places for one in found[:3]] == [tuple(sequences[n].tolist()) for n in best]
    assert [one.score for one in found[:3]] == pytest.approx(totals[best].tolist(), abs=1e-5)
    assert len(found) == 12


@pytest.mark.parametrize("length", [None, 1, 2])
def test_a_selection_has_the_length_that_is_asked_for(length: int | None) -> None:
    """A selector that knows an end decides itself unless it is told."""
    (found,) = select(_model(has_end=True), torch.randn(1, 3), 5, length)
    lengths = {len(one.places) for one in found}
    assert lengths == {length} if length else lengths <= {1, 2}
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_what_users_of_the_earlier_script_paste_works() -> None:
    """Labels and rewards of the five best, and the log-probabilities of a frozen start."""
    rewards = [0.03, 0.046, 0.045, 0.037, 0.035, 0.01]
    data = {"17": {"id_list": _all()[:6].tolist(), "score_list": rewards}}
    dataset = BeamDataset(data, beam_size=5)
    item = dataset[0]
    assert item["beam_labels"].tolist() == _all()[:5].tolist()  # type: ignore[union-attr]
    assert item.beam_rewards.tolist() == pytest.approx(rewards[:5])  # type: ignore[union-attr]
    assert not hasattr(item, "old_logps")
    model, queries = _model(), torch.randn(1, 3)
    dataset.freeze(model, queries)
    assert torch.equal(item.old_logps, model(queries.expand(5, -1), item.beam_labels))  # type: ignore[arg-type]
    assert not item.old_logps.requires_grad  # type: ignore[union-attr]


def test_a_beam_larger_than_a_querys_candidates_is_refused() -> None:
    """The query is named; nothing is padded with candidates that nobody scored."""
    data = {"17": {"id_list": _all()[:3].tolist(), "score_list": [0.3, 0.2, 0.1]}}
    with pytest.raises(DatasetError, match="'17': 3 candidates, but beam_size is 5") as caught:
        BeamDataset(data, beam_size=5)
    assert caught.value.code == "beam_size"
