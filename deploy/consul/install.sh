#!/usr/bin/env bash
# Installs the Consul binary on a Debian machine whose own suite has no package of it, from
# the package in Debian's bullseye suite.
#
#   deploy/consul/install.sh [--force]
#   PREFIX=/usr/local/bin    folder of the binary; must be writable
#   CONSUL_SUITE=bullseye    suite of the package
#
# Does nothing if a working consul is in PREFIX.
set -euo pipefail

prefix=${PREFIX:-/usr/local/bin}
if [[ ${1:-} != --force ]] && "$prefix/consul" version >/dev/null 2>&1; then
    echo "already there: $("$prefix/consul" version | head -n1)"
    exit 0
fi

# Only the binary: the package's service, user and configuration are not installed.
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
"$(dirname "$0")/../debian/unpack" "${CONSUL_SUITE:-bullseye}" consul "$tree"
install -D -m 0755 "$tree/usr/bin/consul" "$prefix/consul"
echo "installed: $("$prefix/consul" version | head -n1)"
