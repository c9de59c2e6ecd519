#!/usr/bin/env bash
# Lock the dependencies with hashes and without any address.
set -eu
bin=$1
compile=("$bin/uv" pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --upgrade)
"${compile[@]}" --extra postgres --extra redis --extra aws pyproject.toml -o requirements/runtime.txt
"${compile[@]}" -c requirements/runtime.txt requirements/development.in -o requirements/development.txt
echo "python-ldap" | "${compile[@]}" - -o requirements/ldap.txt
