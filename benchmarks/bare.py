"""One bare rollout: ``python -m benchmarks.bare REMAINING_S TLS_ID HORIZON_S SUMO_ARGUMENTS…``.

Prints the ms that stepping took and the summed queue.
"""

import sys
import time

import libsumo

__all__: list[str] = []


def main() -> None:
    """Loads without being timed, then steps."""
    remaining_s, tls_id, horizon_s, *arguments = sys.argv[1:]
    libsumo.start(["sumo", *arguments])
    lanes = tuple(dict.fromkeys(libsumo.trafficlight.getControlledLanes(tls_id)))
    libsumo.trafficlight.setPhaseDuration(tls_id, float(remaining_s))
    queue = 0
    start_s = time.perf_counter()
    for _ in range(int(horizon_s)):
        libsumo.simulationStep()
        queue += sum(libsumo.lane.getLastStepHaltingNumber(lane) for lane in lanes)
    print((time.perf_counter() - start_s) * 1000, queue)


if __name__ == "__main__":
    main()
