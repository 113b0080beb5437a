#!/bin/sh
# What a container of the service image runs: one role in the cluster.
#
#   greenfork-node head             Ray's head: keeps the books of the cluster, computes nothing
#   greenfork-node worker           a node that lends GREENFORK_WORKER_CPUS CPUs (default 1)
#   greenfork-node serve [OPTION…]  the gateway. It creates the simulation workers, and a program
#                                   that does must run on a node: it joins as one without a CPU
#   greenfork-node demo-dataset     builds a small dataset into /datasets if there is none
#   greenfork-node check ROLE       exit status 0 while the gateway, the head or the worker is well
#   greenfork-node COMMAND…         anything else: the command `greenfork COMMAND…`, on no cluster
#
# The nodes recognise each other by a token in RAY_AUTH_TOKEN_PATH, on a volume that only they
# mount. The head makes it when there is none, so that no secret is ever written down by hand.
set -eu

head_address=${GREENFORK_RAY_HEAD:-ray-head:6379}
# Ray is used for calls and small messages here; big objects there are none.
object_store_bytes=80000000

make_token() {
  [ -s "$RAY_AUTH_TOKEN_PATH" ] && return
  (umask 077 && python -c 'import secrets; print(secrets.token_hex(32), end="")' \
    >"$RAY_AUTH_TOKEN_PATH.new")
  mv "$RAY_AUTH_TOKEN_PATH.new" "$RAY_AUTH_TOKEN_PATH"
}

# A container that is restarted still has the files of the session that it was part of.
forget_last_session() { rm -rf /tmp/ray; }

node="ray start --disable-usage-stats --log-style=record --object-store-memory=$object_store_bytes"

head() {
  make_token
  forget_last_session
  exec $node --head --port=6379 --num-cpus=0 --include-dashboard=false --block
}

worker() {
  forget_last_session
  exec $node --address="$head_address" --num-cpus="${GREENFORK_WORKER_CPUS:-1}" --block
}

serve() {
  forget_last_session
  $node --address="$head_address" --num-cpus=0
  greenfork serve "$@" &
  gateway=$!
  trap 'kill -TERM "$gateway" 2>/dev/null' TERM INT
  status=0
  wait "$gateway" || status=$?
  # A signal ends the first wait early; the gateway still finishes what it has in hand.
  while kill -0 "$gateway" 2>/dev/null; do status=0; wait "$gateway" || status=$?; done
  ray stop --grace-period 3 >/dev/null 2>&1 || true
  return "$status"
}

demo_dataset() {
  for manifest in /datasets/manifest.json /datasets/*/manifest.json; do
    [ -e "$manifest" ] && echo "there is a dataset: $manifest" && return
  done
  exec greenfork dataset build /opt/greenfork/scenarios/crossing/crossing.sumocfg \
    --out /datasets/crossing --states "${GREENFORK_DEMO_STATES:-60}" --outcomes
}

# Cheap on purpose, they run every few seconds: `ray health-check` alone costs a second of CPU.
# Ray ends a node when one of its processes dies, and its container with it.
check() {
  case $1 in
    gateway) probe 'urllib.request.urlopen("http://127.0.0.1:8000/readyz", timeout=24)' ;;
    head) accepts_connections ;;
    worker) grep -qs raylet /proc/[0-9]*/comm && accepts_connections ;;
    *) echo "no such role: $1" >&2 && return 2 ;;
  esac
}

probe() { python -S -c "import socket, urllib.request; $1"; }

accepts_connections() {
  probe "socket.create_connection(('${head_address%:*}', ${head_address##*:}), 3)"
}

case ${1:-} in
  head | worker) "$1" ;;
  serve | check) role=$1 && shift && "$role" "$@" ;;
  demo-dataset) demo_dataset ;;
  *) exec greenfork "$@" ;;
esac
