#!/bin/sh
# system_packages.sh COMMAND=PACKAGE[+PACKAGE…] …: install the Debian packages of commands, or of files given by their
# whole path, that are missing.
# Only root can, and only where there is apt-get; elsewhere this says what is missing, and the tests that need it skip
# themselves visibly.
set -eu

missing=
for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null 2>&1 || [ -x "/usr/sbin/${pair%%=*}" ] || [ -f "${pair%%=*}" ] ||
        missing="$missing $(echo "${pair#*=}" | tr + ' ')"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "Not here, and not root on Debian:$missing. The tests that need them will be skipped." >&2
    exit 0
fi
echo "Installing Debian packages:$missing …"
# RUNLEVEL=1 keeps daemons from starting once installed. Word splitting is meant.
# shellcheck disable=SC2086
if ! { apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends $missing >/dev/null; }; then
    echo "Could not install:$missing. The tests that need them will be skipped." >&2
fi
