#!/usr/bin/env bash
# Installs version 2 of compose, a plugin of the docker command, on a Debian machine whose own suite has only
# version 1, from the package in Debian's trixie suite.
#
#   deploy/docker/install-compose.sh [--force]
#   PREFIX=/usr/local/lib/docker/cli-plugins   folder of the plugin; must be writable
#   COMPOSE_SUITE=trixie                       suite of the package
#
# Does nothing if `docker compose` works.
set -euo pipefail

fail() {
    echo "install-compose.sh: $*" >&2
    exit 1
}

prefix=${PREFIX:-/usr/local/lib/docker/cli-plugins}
command -v docker >/dev/null || fail "docker is missing: apt-get install docker.io"
if [[ ${1:-} != --force ]] && docker compose version >/dev/null 2>&1; then
    echo "already there: $(docker compose version)"
    exit 0
fi
mkdir -p "$prefix" 2>/dev/null && [[ -w $prefix ]] || fail "cannot write to $prefix: run it as root, or set
PREFIX=\$HOME/.docker/cli-plugins"

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
"$(dirname "$0")/../debian/unpack" "${COMPOSE_SUITE:-trixie}" docker-compose "$tree"
install -m 0755 "$tree/usr/libexec/docker/cli-plugins/docker-compose" "$prefix/docker-compose"
echo "installed: $("$prefix/docker-compose" version)"
