"""A process that owns holders, to be killed: ``python -m tests.integration.sim_workers.owner``.

Takes a dataset and the id of a state, and rolls out for longer than anybody waits.
"""

import sys
from pathlib import Path

from tests.integration.sim_workers.rolling import ENDLESS_S, make_worker, roll_out


def main(dataset: str, state_id: str) -> None:
    """Never comes back on its own."""
    roll_out(make_worker(), Path(dataset), state_id, horizon_s=ENDLESS_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
