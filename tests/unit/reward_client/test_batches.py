"""How the client splits a batch into requests."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_client.batches import chunked
from shared.rewards import RewardSpec
from tests.unit.reward_client.fake_service import Service, Waits, client_of, items


async def test_large_batches_are_cut_and_put_together_in_order() -> None:
    """Counts sum up, and nobody sees that there were several requests."""
    service = Service()
    async with client_of(service, Waits(), size=3) as client:
        response = await client.score(items(8), RewardSpec())
    assert [r.id for r in response.results] == list(range(8))
    assert sorted(len(ids) for ids in service.sent_ids()) == [2, 3, 3]
    assert (response.counts.scored, response.counts.rollouts) == (8, 8)


async def test_seeds_make_requests_smaller() -> None:
    """The service counts an item once per seed, and so does the client; one item is the least."""
    for seeds, sizes in (((1, 2), [2, 3, 3]), (tuple(range(9)), [1] * 8)):
        service = Service()
        async with client_of(service, Waits(), size=6) as client:
            response = await client.score(items(8), RewardSpec(seeds=seeds))
        assert sorted(len(ids) for ids in service.sent_ids()) == sizes
        assert [r.id for r in response.results] == list(range(8))


@pytest.mark.parametrize(
    ("groups", "size", "pieces"),
    [
        ("aaabbbcc", 4, ["aaa", "bbb", "cc"]),
        ("aaabbbcc", 6, ["aaabbb", "cc"]),
        ("aaaaabb", 2, ["aa", "aa", "a", "bb"]),
        ("aab--bb", 3, ["aab", "--", "bb"]),
        ("-----", 2, ["--", "--", "-"]),
        ("", 3, []),
    ],
)
def test_groups_stay_together_where_they_fit(groups: str, size: int, pieces: list[str]) -> None:
    """A service that compares the rewards of a group sees all of them in one request."""
    batch = [
        item.model_copy(update={"group_id": None if group == "-" else group})
        for item, group in zip(items(len(groups)), groups, strict=True)
    ]
    chunks = chunked(batch, size)
    assert [item for chunk in chunks for item in chunk] == batch
    assert ["".join(str(item.group_id or "-") for item in chunk) for chunk in chunks] == pieces


@given(groups=st.lists(st.integers(1, 6), max_size=12), size=st.integers(1, 9))
def test_no_group_is_cut_that_fits(groups: list[int], size: int) -> None:
    """Requests are never too large, nothing is lost, and only groups larger than one are cut."""
    (one,) = items(1)
    batch = [
        one.model_copy(update={"group_id": group})
        for group, count in enumerate(groups)
        for _ in range(count)
    ]
    chunks = chunked(batch, size)
    assert [item for chunk in chunks for item in chunk] == batch
    assert all(0 < len(chunk) <= size for chunk in chunks)
    for before, after in pairwise(chunks):
        if before[-1].group_id == after[0].group_id:
            assert groups[int(str(after[0].group_id))] > size
