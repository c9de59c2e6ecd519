#!/usr/bin/env bash
# Everything that `make check` looks at; all checks run, and any failure fails the whole.
set -u
bin=$1
failed=0
run() { echo "== $1"; shift; "$@" || failed=1; }
run format "$bin/ruff" format --check --quiet src tests tools sdk
run lint "$bin/ruff" check --quiet src tests tools sdk
run types "$bin/mypy" src
run "types of the client" "$bin/mypy" sdk/src/bennu_sdk
run imports "$bin/lint-imports" --no-cache
run "map of the spec" "$bin/python" tools/check_spec.py
run sizes "$bin/python" tools/check_sizes.py
run "test files" "$bin/python" tools/check_mirror.py
run addresses "$bin/python" tools/check_addresses.py
run "generated pages" "$bin/python" tools/generate_configuration.py --check
run "page of permissions" "$bin/python" tools/generate_permissions.py --check
run "page of routes" "$bin/python" -m tools.generate_routes --check
run "REST reference" "$bin/python" -m tools.generate_rest --check
run "map of the ASVS" "$bin/python" tools/generate_asvs.py --check
exit $failed
