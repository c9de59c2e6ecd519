#!/usr/bin/env bash
# Install the Debian packages that the tests need, as root or through sudo; nothing when all are there.
set -eu
cd "$(dirname "$0")/.."
mapfile -t wanted < <(grep -vE '^(#|$)' tests/debian-packages.txt)
missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! sudo -n true 2>/dev/null; then
    echo "The tests need these Debian packages: ${missing[*]}" >&2
    echo "Run 'make setup-test' as root, or allow sudo, or install them by hand." >&2
    exit 1
  fi
  as_root=(sudo -n)
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
