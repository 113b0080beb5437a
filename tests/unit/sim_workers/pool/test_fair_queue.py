"""Whose turn it is."""

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sim_workers.pool.fair_queue import Flow, FlowQueue

TRAINER = Flow("trainer", 1.0)
JOB = Flow("job", 0.1)


def served(queue: FlowQueue[str], batches: int, limit: int = 1) -> list[str]:
    """The pieces of the next batches."""
    found: list[str] = []
    for _ in range(batches):
        taken = queue.take(limit)
        assert taken is not None
        found += taken[1]
    return found


def fill(queue: FlowQueue[str], flow: Flow, pieces: int) -> None:
    """Puts pieces of equal name, each in a group of its own."""
    for number in range(pieces):
        queue.put(flow, f"{flow.name}{number}", flow.name)


class TestShares:
    """Who gets how much."""

    def test_weights_decide_while_all_have_work(self) -> None:
        """A job of a tenth of the weight gets one of eleven."""
        queue: FlowQueue[str] = FlowQueue()
        fill(queue, JOB, 100)
        fill(queue, TRAINER, 100)

        assert Counter(served(queue, 110)) == {"trainer": 100, "job": 10}

    def test_work_is_shared_and_not_pieces(self) -> None:
        """Whoever sends pieces of ten times the work gets a tenth as many."""
        queue: FlowQueue[str] = FlowQueue(lambda piece: 10.0 if piece == "long" else 1.0)
        fill(queue, Flow("long"), 100)
        fill(queue, Flow("short"), 100)

        assert Counter(served(queue, 110, limit=8)) == {"long": 10, "short": 100}

    def test_batches_are_bounded_by_their_work(self) -> None:
        """A piece that is more than a batch may be goes alone."""
        queue: FlowQueue[int] = FlowQueue(float)
        for work in (3, 5, 1, 20, 8, 1):
            queue.put(TRAINER, "a", work)

        assert [queue.take(8) for _ in range(5)] == [
            ("a", [3, 5]),
            ("a", [1]),
            ("a", [20]),
            ("a", [8]),
            ("a", [1]),
        ]

    def test_a_flow_alone_gets_all(self) -> None:
        """What nobody else wants is not held back."""
        queue: FlowQueue[str] = FlowQueue()
        fill(queue, JOB, 5)

        assert served(queue, 5) == ["job"] * 5
        assert queue.take(1) is None

    def test_being_away_saves_nothing_up(self) -> None:
        """A flow that comes late does not get what it did not ask for before."""
        queue: FlowQueue[str] = FlowQueue()
        other = Flow("other")
        fill(queue, TRAINER, 60)
        served(queue, 50)
        fill(queue, other, 10)

        assert Counter(served(queue, 10)) == {"trainer": 5, "other": 5}

    def test_coming_back_at_once_gains_nothing(self) -> None:
        """A light flow that always has one piece waiting gets no more than a backlogged one."""
        queue: FlowQueue[str] = FlowQueue()
        fill(queue, TRAINER, 200)
        found = []
        for _ in range(110):
            if JOB.name not in queue:
                queue.put(JOB, "job", JOB.name)
            found += served(queue, 1)

        assert Counter(found)["job"] == 10

    def test_large_batches_count_as_what_they_are(self) -> None:
        """Four pieces of one group at a time are four turns."""
        queue: FlowQueue[str] = FlowQueue()
        for _ in range(40):
            queue.put(TRAINER, "one", "trainer")
        fill(queue, Flow("other"), 40)

        assert Counter(served(queue, 25, limit=4)) == {"trainer": 20, "other": 20}


class TestOrder:
    """What comes first within a flow."""

    def test_groups_stay_together(self) -> None:
        """Pieces of one key come in one batch, in the order in which they came."""
        queue: FlowQueue[str] = FlowQueue()
        for key, piece in (("a", "1"), ("b", "2"), ("a", "3")):
            queue.put(TRAINER, key, piece)

        assert queue.take(8) == ("a", ["1", "3"])
        assert queue.take(8) == ("b", ["2"])

    def test_what_is_urgent_goes_before_all(self) -> None:
        """A probe does not wait behind a job."""
        queue: FlowQueue[str] = FlowQueue()
        fill(queue, TRAINER, 3)
        queue.put(Flow("canary", is_urgent=True), "canary", "probe")

        assert queue.take(8) == ("canary", ["probe"])

    def test_removed_pieces_are_gone(self) -> None:
        """Once, and only where they wait."""
        queue: FlowQueue[str] = FlowQueue()
        queue.put(TRAINER, "a", "1")

        assert queue.remove(TRAINER, "a", "1")
        assert not queue.remove(TRAINER, "a", "1")
        assert (len(queue), queue.take(1)) == (0, None)


@given(
    st.lists(
        st.tuples(st.sampled_from([0.1, 1.0, 3.0]), st.integers(1, 30)), min_size=1, max_size=5
    ),
    st.integers(1, 4),
)
def test_nothing_is_lost_and_nobody_waits_for_ever(
    loads: list[tuple[float, int]], limit: int
) -> None:
    """Every piece comes out once; between two batches of a flow, others get their share at most."""
    queue: FlowQueue[str] = FlowQueue()
    flows = [Flow(str(number), weight) for number, (weight, _) in enumerate(loads)]
    for flow, (_, pieces) in zip(flows, loads, strict=True):
        fill(queue, flow, pieces)
    total = len(queue)
    order = []
    while taken := queue.take(limit):
        order += taken[1]

    assert Counter(order) == {
        flow.name: pieces for flow, (_, pieces) in zip(flows, loads, strict=True)
    }
    assert len(order) == total
    for flow in flows:
        turns = [turn for turn, name in enumerate(order) if name == flow.name]
        fair = sum(other.weight for other in flows) / flow.weight
        assert all(later - earlier <= fair + 2 * len(flows) for earlier, later in pairwise(turns))


def test_what_does_not_fit_keeps_its_place() -> None:
    """A flow whose work waits for a busy worker is passed over, and is due afterwards."""
    queue: FlowQueue[str] = FlowQueue()
    ann, bob = Flow("ann"), Flow("bob")
    queue.put(ann, "one", "ann's")
    queue.put(bob, "two", "bob's")
    assert queue.take(1, lambda key: key == "two") == ("two", ["bob's"])
    assert queue.take(1, lambda key: key == "two") is None
    assert queue.take(1) == ("one", ["ann's"])
