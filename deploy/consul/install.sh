#!/usr/bin/env bash
# Installs the Consul binary on a Debian machine whose own suite has no package of it.
# Extracts it from the package in Debian's bullseye suite, through the archives that apt
# is configured for. Changes nothing in /etc/apt, /var/lib/apt or dpkg's state.
#
#   deploy/consul/install.sh [--force]
#   PREFIX=/usr/local/bin    folder of the binary; must be writable
#   CONSUL_SUITE=bullseye    suite of the package
#
# Does nothing if a working consul is in PREFIX.
set -euo pipefail

prefix=${PREFIX:-/usr/local/bin}
suite=${CONSUL_SUITE:-bullseye}

fail() {
    echo "consul/install.sh: $*" >&2
    exit 1
}

if [[ ${1:-} != --force ]] && "$prefix/consul" version >/dev/null 2>&1; then
    echo "already there: $("$prefix/consul" version | head -n1)"
    exit 0
fi
command -v dpkg-deb >/dev/null || fail "not a Debian machine: dpkg-deb is missing"

# The addresses in apt's one-line sources.
one_line_sources() {
    sed -nE 's/^[[:space:]]*deb[[:space:]]+(\[[^]]*\][[:space:]]*)?([^[:space:]]+).*/\2/p' "$@"
}

# The addresses in apt's deb822 sources, without disabled stanzas.
stanza_sources() {
    awk '
        function flush(  i) {
            if (!off) for (i = 1; i <= n; i++) print uri[i]
            n = 0; off = 0; key = ""
        }
        FNR == 1 || /^[[:space:]]*$/ { flush() }
        /^#/ { next }
        /^[A-Za-z]/ {
            key = tolower($1); sub(/:.*/, "", key)
            sub(/^[^:]*:/, "")
            if (key == "enabled" && tolower($1) ~ /^(no|false|off|0)$/) off = 1
        }
        key == "uris" { for (i = 1; i <= NF; i++) uri[++n] = $i }
        END { flush() }
    ' "$@"
}

shopt -s nullglob
lists=(/etc/apt/sources.list /etc/apt/sources.list.d/*.list)
stanzas=(/etc/apt/sources.list.d/*.sources)
[[ -e ${lists[0]} ]] || lists=("${lists[@]:1}")
archives=$(
    {
        [[ ${#lists[@]} -eq 0 ]] || one_line_sources "${lists[@]}"
        [[ ${#stanzas[@]} -eq 0 ]] || stanza_sources "${stanzas[@]}"
    } | sed 's#/*$##' | awk '/\/debian$/ && !seen[$0]++'
)
[[ $archives ]] || fail "apt is configured for no Debian archive"

keyring=
for candidate in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
    if [[ -r $candidate ]]; then keyring=$candidate; break; fi
done
[[ $keyring ]] || fail "debian-archive-keyring is missing: it verifies the package"

# A separate apt, so that the machine's package lists do not change.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{etc,lists/partial,cache/archives/partial,package}
while read -r archive; do
    echo "deb [signed-by=$keyring] $archive $suite main"
done <<<"$archives" >"$work/etc/sources.list"
own_apt() {
    # apt's output is shown only if it fails, without the archive's address.
    apt-get -q \
        -o "Dir::Etc::sourcelist=$work/etc/sources.list" \
        -o "Dir::Etc::sourceparts=-" \
        -o "Dir::Etc::preferences=-" \
        -o "Dir::Etc::preferencesparts=-" \
        -o "Dir::State::lists=$work/lists" \
        -o "Dir::Cache=$work/cache" \
        -o "APT::Sandbox::User=root" \
        -o "APT::Update::Post-Invoke-Success::=true" \
        -o "Acquire::Languages=none" \
        -o "Acquire::Retries=3" \
        "$@" >"$work/log" 2>&1 && return
    sed -E 's#[a-z+]+://[^/ ]+#<archive>#g' "$work/log" >&2
    fail "apt-get $1 failed for the $suite suite"
}
own_apt update
(cd "$work/package" && own_apt download consul)

# Only the binary: the package's service, user and configuration are not installed.
packages=("$work"/package/consul_*.deb)
dpkg-deb -x "${packages[0]}" "$work/tree"
install -D -m 0755 "$work/tree/usr/bin/consul" "$prefix/consul"
echo "installed: $("$prefix/consul" version | head -n1)"
