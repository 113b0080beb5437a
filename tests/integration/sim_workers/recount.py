"""The metrics of a rollout, written out again on libsumo alone: no fork, none of our code.

A module of its own because libsumo holds one simulation per process:
``python -m tests.integration.sim_workers.recount CONFIG SEED STATE TLS REMAINING HORIZON``, where
STATE and REMAINING may be ``-``. Prints the metrics as JSON.
"""

import json
import sys
from collections.abc import Sequence
from math import fsum

import libsumo as sumo


def main(config: str, seed: str, state: str, tls_id: str, remaining: str, horizon: str) -> None:
    """Runs one rollout and prints what it showed."""
    load = [] if state == "-" else ["--load-state", state]
    sumo.start(["sumo", "-c", config, "--seed", seed, "--no-step-log", "--no-warnings", *load])
    if remaining != "-":
        sumo.trafficlight.setPhaseDuration(tls_id, float(remaining))
    incoming = list(dict.fromkeys(sumo.trafficlight.getControlledLanes(tls_id)))
    links = [link for group in sumo.trafficlight.getControlledLinks(tls_id) for link in group]
    outgoing = list(dict.fromkeys(link[1] for link in links))
    queue, wait, speeds, seen, pressure, network, left = [], [], [], 0, [], [], 0
    delay = []
    before = _on(incoming)
    for _ in range(int(horizon)):
        sumo.simulationStep()
        now = _on(incoming)
        left += len(set(before) - set(now))
        before = now
        queue.append(sum(map(sumo.lane.getLastStepHaltingNumber, incoming)))
        wait.append(fsum(map(sumo.lane.getWaitingTime, incoming)))
        speeds.append(fsum(map(sumo.vehicle.getSpeed, now)))
        seen += len(now)
        pressure.append(len(now) - len(_on(outgoing)))
        network.append(sum(map(sumo.lane.getLastStepHaltingNumber, sumo.lane.getIDList())))
        waiting = len(sumo.simulation.getPendingVehicles())
        delay.append(fsum([*map(_lost, sumo.vehicle.getIDList()), waiting]))
    metrics = {
        "queue_veh": _mean(queue),
        "queue_veh_max": max(queue),
        "wait_s": _mean(wait),
        "speed_mps": fsum(speeds) / seen if seen else None,
        "throughput_veh": left,
        "pressure_veh": _mean(pressure),
        "network_queue_veh": _mean(network),
        "delay_veh": _mean(delay),
        "series": queue,
    }
    sys.stdout.write(json.dumps(metrics))


def _on(lanes: list[str]) -> list[str]:
    return [vehicle for lane in lanes for vehicle in sumo.lane.getLastStepVehicleIDs(lane)]


def _lost(vehicle: str) -> float:
    speed, allowed = sumo.vehicle.getSpeed(vehicle), sumo.vehicle.getAllowedSpeed(vehicle)
    if allowed <= 0:
        return 0.0
    return 1 - float(speed) / float(allowed)


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values)


if __name__ == "__main__":
    main(*sys.argv[1:])
