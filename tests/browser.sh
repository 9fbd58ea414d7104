#!/bin/sh
# Sees to it that the browser tests find a browser: chromium if it is on the PATH, else by apt where
# that is allowed, else by playwright. Asks nothing. The argument is the environment's Python.
set -eu

if command -v chromium >/dev/null; then
    exit 0
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    as_root="sudo -n"
fi

install_by_apt() {
    command -v apt-get >/dev/null || return 1
    $as_root true 2>/dev/null || return 1
    echo "Installing chromium by apt, for the browser tests"
    # The lists may be empty on a fresh machine, or too old to name a package that is still there.
    $as_root env DEBIAN_FRONTEND=noninteractive sh -c '
        apt-get update && apt-get install --yes --no-install-recommends chromium
    ' >"$log" 2>&1 </dev/null
}

install_by_playwright() {
    echo "Installing chromium by playwright, for the browser tests"
    "$1" -m playwright install chromium >>"$log" 2>&1 </dev/null
}

if install_by_apt || install_by_playwright "$1"; then
    exit 0
fi

cat "$log" >&2
echo "No browser could be installed. Put one named chromium on the PATH." >&2
exit 1
