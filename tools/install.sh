#!/bin/sh
# install.sh ENV DEVICE EXTRAS: bring the virtual environment ENV up to date with pyproject.toml.
# DEVICE (cpu or gpu) chooses between onnxruntime and onnxruntime-gpu. They share one import name, so the other one goes
# first; as they share files too, both go then, and the chosen one is laid down anew.
set -eu

environment=$1 device=$2 extras=$3
case $device in
    cpu) other=onnxruntime-gpu ;;
    gpu) other=onnxruntime ;;
    *) echo "DEVICE is '$device'; cpu or gpu expected" >&2; exit 2 ;;
esac

recent() { command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

usable() { "$environment/bin/python" -c 'import pip' 2>/dev/null; }

if ! usable; then
    python=${PYTHON:-}
    if [ -n "$python" ]; then
        recent "$python" || { echo "PYTHON=$python is not Python 3.11 or newer" >&2; exit 1; }
    else
        for python in python3 python3.13 python3.12 python3.11 ""; do
            if [ -n "$python" ] && recent "$python"; then break; fi
        done
        if [ -z "$python" ]; then
            echo "Discern needs Python 3.11 or newer; python3 is $(python3 --version 2>&1 || true)." >&2
            echo "Install one and name it: make PYTHON=/path/to/python3.11 …" >&2
            exit 1
        fi
    fi
    if ! "$python" -c 'import ensurepip' 2>/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
    fi
    "$python" -m venv --clear "$environment"
fi

pip() { "$environment/bin/python" -m pip --disable-pip-version-check "$@"; }

rm -f "$environment"/.installed-*
echo "Installing .[$device,$extras] into $environment (the first time takes a while) …"
if pip show --quiet "$other" >/dev/null 2>&1; then
    pip uninstall --quiet --yes onnxruntime onnxruntime-gpu
fi
# Twice quiet: no progress and no warnings, but errors are shown.
pip install -qq --editable ".[$device,$extras]"
touch "$environment/.installed-$device"
