#!/usr/bin/env bash
# Lock the dependencies with hashes and without any address; extras stay in the names, because
# pip looks for a newer release of a name with an extra that has no pin of its own.
set -eu
bin=$1
# Pins stay as they are unless the second word is --upgrade.
compile=("$bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-strip-extras ${2:-})
"${compile[@]}" --extra postgres --extra redis --extra aws pyproject.toml -o requirements/runtime.txt
"${compile[@]}" -c requirements/runtime.txt requirements/development.in -o requirements/development.txt
# What the container image holds besides python-ldap: all extras that come as wheels.
"${compile[@]}" --extra postgres --extra redis --extra aws --extra azure -c requirements/runtime.txt -c requirements/development.txt pyproject.toml -o requirements/image.txt
# What builds our own wheel and that of python-ldap, in the image and in a release.
printf 'hatchling\nsetuptools\nwheel\n' | "${compile[@]}" -c requirements/development.txt - -o requirements/build.txt
echo "python-ldap" | "${compile[@]}" - -o requirements/ldap.txt
# Its pins conflict with ours, so it is installed apart.
echo "sslyze" | "${compile[@]}" - -o requirements/sslyze.txt
# The tools of a release, apart for the same reason: they bring a pip of their own.
printf 'cyclonedx-bom\npip-audit\n' | "${compile[@]}" - -o requirements/release.txt
# What users of the client have; tests install it into environments of their own.
printf 'arize-phoenix-client\narize-phoenix-otel\n' | "${compile[@]}" -c requirements/runtime.txt -c requirements/development.txt - -o requirements/sdk.txt
