# Every target is one line or two that call a tool. `make` prints them.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
ENV_FILE := bennu.env
PYTHON ?= python3

.DEFAULT_GOAL := help
.PHONY: help setup setup-test serve check test-unit test bench soak coverage docs docs-site requirements release audit-dependencies

help: ## print the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

$(VENV)/.runtime: pyproject.toml requirements/runtime.txt
	$(PYTHON) tools/check_python.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	bash tools/install_ldap.sh $(BIN)/python
	touch $@

$(VENV)/.development: $(VENV)/.runtime requirements/development.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/development.txt
	touch $@

$(VENV)/.sslyze: requirements/sslyze.txt
	bash tools/install_apart.sh $(PYTHON) $(VENV)/sslyze requirements/sslyze.txt
	touch $@

$(VENV)/.release: requirements/release.txt
	bash tools/install_apart.sh $(PYTHON) $(VENV)/release requirements/release.txt
	touch $@

$(VENV)/.wheels: $(VENV)/.runtime requirements/sdk.txt
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/sdk.txt -d $(VENV)/wheels
	touch $@

setup: $(VENV)/.runtime ## make .venv with the server; needs no Debian package

setup-test: $(VENV)/.development $(VENV)/.sslyze $(VENV)/.release $(VENV)/.wheels tests/node/node_modules/.made ## add what the tests need, Debian packages included
	bash tools/install_debian_packages.sh
	bash tools/install_ldap.sh $(BIN)/python

tests/node/node_modules/.made: tests/node/package-lock.json
	cd tests/node && npm ci --no-audit --no-fund --silent
	touch $@

serve: setup ## set up and start the server on SQLite, secured
	test -e $(ENV_FILE) || $(BIN)/bennu init --env-file $(ENV_FILE)
	$(BIN)/bennu serve --env-file $(ENV_FILE)

check: $(VENV)/.development ## format, lint, types, import contracts, sizes, generated pages
	bash tools/check.sh $(BIN)

test-unit: $(VENV)/.development ## the tests that need no started server
	$(BIN)/python -m pytest -q --ignore tests/flows --ignore tests/attack --ignore tests/spec

test: setup-test ## set up everything and run all tests
	BENNU_ALL_PEERS=1 $(BIN)/python -m pytest -q -n 2 --dist loadgroup

bench: $(VENV)/.development ## measure a server of this checkout; see docs/performance.md
	$(BIN)/python tools/bench.py

soak: setup-test ## the long tests, by hand
	$(BIN)/python -m pytest -q -m 'soak or not soak' --hypothesis-profile fresh --timeout 3600

coverage: setup-test ## all tests with branch coverage
	$(BIN)/python -m pytest -q --cov --cov-report term-missing

docs: $(VENV)/.development ## write the generated pages again
	$(BIN)/python tools/generate_configuration.py
	$(BIN)/python tools/generate_permissions.py
	$(BIN)/python tools/generate_asvs.py
	$(BIN)/python -m tools.generate_routes
	$(BIN)/python -m tools.generate_rest

docs-site: $(VENV)/.development ## make the documents into a site in .work/site; a warning is a failure
	$(BIN)/python tools/build_docs_site.py

screenshots: setup-test ## pictures of every page into .work/screenshots (DOCS=1: those of the documents too)
	$(BIN)/python tools/take_screenshots.py $(if $(DOCS),--documents)

audit-dependencies: $(VENV)/.release ## ask for known vulnerabilities of what is locked (status 3: no service)
	$(BIN)/python tools/audit_dependencies.py

release: $(VENV)/.development $(VENV)/.release ## wheels, source archives, SBOM and checksums into dist/, then the audit
	$(BIN)/python -m tools.release $(RELEASE)
	$(BIN)/python tools/audit_dependencies.py || test $$? -eq 3

requirements: $(VENV)/.development ## lock the dependencies again, with hashes (UPGRADE=--upgrade: newest)
	bash tools/lock_requirements.sh $(BIN) $(UPGRADE)
