#!/bin/sh
# fetch-torch REQUIREMENT FOLDER: puts torch's wheel into the folder, without its dependencies.
#
# The first thing that is built for a training, and on its own: where the wheel is not to be had, all
# stops here, before anything large is fetched. The common package index has only builds with CUDA, of
# gigabytes, and none that ends in `+cpu`: pip reads a page of it, and no more.
set -eu

requirement=$1
folder=$2
index=$(cat /run/secrets/pip-extra-index-url 2>/dev/null || true)

fetch() {
  PIP_EXTRA_INDEX_URL=$index pip download --quiet --no-cache-dir --no-deps --dest "$folder" "$requirement"
}

if [ -n "$index" ]; then
  where='in the index of PIP_EXTRA_INDEX_URL'
  fetch && exit
else
  where='on the common package index'
  fetch 2>/dev/null && exit
fi
echo "The trainer needs $requirement, which is neither in deploy/wheels nor $where: find the URL of the" \
  "index of CPU builds on torch's installation page, and run:" \
  "PIP_EXTRA_INDEX_URL=URL docker compose --profile train up --build" >&2
exit 1
