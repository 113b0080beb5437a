"""The order of the runs."""

from benchmarks.resco.plan import Job, Selection, jobs_of


def test_what_is_cheap_comes_first() -> None:
    """Rules seed after seed on all networks, look-ahead on the small ones, then on the large."""
    chosen = Selection(
        networks=("cologne1", "grid4x4"), controllers=("greedy", "look-ahead"), seeds=2
    )
    assert list(jobs_of(chosen)) == [
        *(Job(network, "greedy", 1) for network in chosen.networks),
        *(Job(network, "greedy", 2) for network in chosen.networks),
        Job("cologne1", "look-ahead", 1),
        Job("cologne1", "look-ahead", 2),
        Job("grid4x4", "look-ahead", 1),
        Job("grid4x4", "look-ahead", 2),
    ]


def test_all_of_it_is_ten_seeds_but_for_look_ahead_on_the_large_networks() -> None:
    """Each run once."""
    jobs = list(jobs_of(Selection()))
    assert len(set(jobs)) == len(jobs) == 8 * 8 * 10 + 5 * 10 + 3 * 3
    large = [job.seed for job in jobs if job.controller == "look-ahead" if "21" in job.network]
    assert large == [1, 2, 3]
