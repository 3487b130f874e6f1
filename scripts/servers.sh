#!/bin/sh
# Installs the Debian packages of those programs that are missing.
#
#     scripts/servers.sh PROGRAM:PACKAGE ...
#
# The packages bring services with them. None is started: policy-rc.d says no
# while they are installed, because the tests start their own servers, as plain
# processes in temporary folders on free ports.
set -eu

missing=""
for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
# A venv needs ensurepip, which Debian ships apart from python3.
"${PYTHON:-python3}" -c 'import ensurepip' 2>/dev/null || missing="$missing python3 python3-venv"

[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "not installed:$missing (tests that need them will say so)" >&2
    exit 0
fi

echo "installing:$missing"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086  # a list of package names is what is meant
install() { apt-get install --yes --quiet --no-install-recommends $missing </dev/null; }
install || { apt-get update --quiet && install; }
