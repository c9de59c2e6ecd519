#!/usr/bin/env bash
# A tool of the tests whose pins conflict with ours gets a virtual environment of its own.
set -eu
python=$1 folder=$2 requirements=$3
test -x "$folder/bin/python" || "$python" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$requirements"
