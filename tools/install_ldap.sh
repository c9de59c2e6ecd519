#!/usr/bin/env bash
# The LDAP client has no wheel; it is built where its headers are present, and left out elsewhere.
# `make setup-test` comes here a second time, after the headers were installed.
set -eu
python=$1
if [ ! -e requirements/ldap.txt ] || ! command -v cc >/dev/null || [ ! -e /usr/include/ldap.h ] || [ ! -e /usr/include/sasl/sasl.h ]; then
  exit 0
fi
wanted=$(sed -n 's/^python-ldap==\([^ ]*\).*/\1/p' requirements/ldap.txt)
if [ "$("$python" -c 'import ldap; print(ldap.__version__)' 2>/dev/null)" = "$wanted" ]; then
  exit 0
fi
"$python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/ldap.txt
