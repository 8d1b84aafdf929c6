#!/bin/sh
# build_image.sh DEVICE NAME [BUILD-OPTION…]: build target DEVICE (cpu or gpu) of the Dockerfile with what is there.
# BASE names another base image than the Dockerfile's.
set -eu

device=$1 name=$2
shift 2
[ "$device" = gpu ] && name=$name:gpu

revision=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
# (podman and buildah keep the health check only in the docker format)
set -- --target "$device" --build-arg "REVISION=$revision" ${BASE:+--build-arg "BASE=$BASE"} --tag "$name" "$@" .

if command -v docker >/dev/null 2>&1 && docker info >/dev/null 2>&1; then
    exec docker build "$@"
elif command -v podman >/dev/null 2>&1; then
    exec podman build --format docker "$@"
elif command -v buildah >/dev/null 2>&1; then
    exec buildah bud --format docker "$@"
fi
echo "No docker (with a running engine), podman or buildah here: one of them is needed to build the image." >&2
exit 1
