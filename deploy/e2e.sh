#!/usr/bin/env bash
# The end-to-end tests: the Compose project, up for real. Called by `make e2e`.
#
# Uses the Docker engine of this machine. Where there is none, it is brought up by the developers'
# tooling next to the checkout, if that is there.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-.venv/bin/python}
engine_tool=../shared/tools/docker-engine.sh

has_engine() { docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; }

if ! has_engine && [ -f "$engine_tool" ]; then
  bash "$engine_tool" up
fi
if ! has_engine; then
  echo "make e2e needs a running Docker engine and Docker Compose 2.20 or later:" \
    "https://docs.docker.com/engine/install/" >&2
  exit 1
fi

GREENFORK_E2E=required exec "$python" -m pytest -m docker tests/e2e "$@"
