#!/usr/bin/env bash
# Installs the Consul binary on a Debian machine that has no package of it: takes the
# one in Debian's bullseye suite, from the archives this machine's own apt is set up
# for. Names no host; changes nothing in /etc/apt, /var/lib/apt or dpkg's state.
#
#   deploy/consul/install.sh [--force]
#   PREFIX=/usr/local/bin    where the binary goes; needs to be writable
#   CONSUL_SUITE=bullseye    the suite to take it from
#
# Does nothing where a working consul is in PREFIX already.
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
command -v dpkg-deb >/dev/null || fail "not a Debian machine: there is no dpkg-deb"

# The addresses in apt's one-line sources.
one_line_sources() {
    sed -nE 's/^[[:space:]]*deb[[:space:]]+(\[[^]]*\][[:space:]]*)?([^[:space:]]+).*/\2/p' "$@"
}

# The addresses in apt's deb822 sources, stanzas that are switched off left out.
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
[[ $archives ]] || fail "this machine's apt knows no Debian archive"

keyring=
for candidate in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
    if [[ -r $candidate ]]; then keyring=$candidate; break; fi
done
[[ $keyring ]] || fail "there is no debian-archive-keyring to check the package against"

# An apt of its own, so that the machine's package lists stay as they are.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{etc,lists/partial,cache/archives/partial,package}
while read -r archive; do
    echo "deb [signed-by=$keyring] $archive $suite main"
done <<<"$archives" >"$work/etc/sources.list"
own_apt() {
    # What apt prints names the archive: it is shown, shortened, only where it fails.
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

# The binary alone: the package's service, user and configuration are not wanted.
packages=("$work"/package/consul_*.deb)
dpkg-deb -x "${packages[0]}" "$work/tree"
install -D -m 0755 "$work/tree/usr/bin/consul" "$prefix/consul"
echo "installed: $("$prefix/consul" version | head -n1)"
