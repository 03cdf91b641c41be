# Everything here needs only python3 and make, and keeps to .venv.

# Any of CPython 3.11 to 3.14.
PYTHON ?= python3
PORT ?= 8000
SECONDS ?= 600
SEED ?= 1

VENV := .venv
BIN := $(VENV)/bin
SET_UP := $(VENV)/.set-up

.PHONY: help run test test-mysql coverage soak fuzz bench check check-types check-code format contract pins clean

help: ## List what make can do
	@awk -F ': .*## ' '/^[a-z-]+:.*## / {printf "make %-12s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(SET_UP)-app ## Serve on http://127.0.0.1:8000, on SQLite unless .env says otherwise
	@PYTHON_DOTENV_DISABLED=1 $(BIN)/litestar run --port $(PORT)

test: $(SET_UP)-test ## Run the tests; those that need a server say so when they skip
	@$(BIN)/pytest $(ARGS)

# Those that `make test` runs on MariaDB: the rest is the same for both.
test-mysql: $(SET_UP)-test ## Run what depends on the database on a real MySQL, which is fetched if need be
	@$(BIN)/python -m tests.mysql_server $(BIN)/pytest -k mariadb $(or $(ARGS),tests/integration tests/e2e/test_checker.py)

# Started servers are several times slower when they are measured: only those tests are whose code runs nowhere else.
coverage: $(SET_UP)-test ## Measure what the tests that start no server cover, with those of the commands
	@$(BIN)/pytest -n 2 --dist loadfile --cov --cov-report=term tests/unit tests/contracts tests/api tests/integration \
		tests/e2e/test_commands.py tests/e2e/test_starting.py $(ARGS)

soak: $(SET_UP)-test ## Check the promises under faults for SECONDS (600) in each size; SEED chooses which
	@CHECK_SECONDS=$(SECONDS) CHECK_SEED=$(SEED) REQUIRE_SERVICES=1 $(BIN)/pytest tests/e2e/test_checker.py -k promises $(ARGS)

fuzz: $(SET_UP)-test ## Send what the OpenAPI document allows and what it does not for SECONDS (600), on each database
	@FUZZ_SECONDS=$(SECONDS) FUZZ_SEED=$(SEED) REQUIRE_SERVICES=1 $(BIN)/pytest tests/e2e/test_contract.py $(ARGS)

bench: $(SET_UP)-dev ## Measure against what else there is, and write docs/benchmarks.md (ONLY=cached-list measures one row)
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(ARGS)

check: check-types check-code ## Lint, check types, import rules, and the Docker, Compose and Kubernetes files

check-types: $(SET_UP)-dev
	$(BIN)/pyright

check-code: $(SET_UP)-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	@# The schema knows no tags.
	sed 's/ !override / /' docker-compose.scale.yml | $(BIN)/check-jsonschema --default-filetype yaml --builtin-schema vendor.compose-spec -
	$(BIN)/kubernetes-validate --quiet --strict docs/operations/kubernetes.yaml

format: $(SET_UP)-dev ## Format, and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

contract: $(SET_UP)-app ## Write down the OpenAPI document, so that a change of it shows
	@$(BIN)/litestar schema openapi --output docs/openapi.json

pins: $(BIN)/uv ## Choose the newest versions that pyproject.toml allows, and pin them with hashes
	$(BIN)/uv pip compile $(PIN_OPTIONS) requirements/uv.in -o requirements/uv.txt
	$(BIN)/uv pip compile $(PIN_OPTIONS) pyproject.toml -o requirements/app.txt
	$(BIN)/uv pip compile $(PIN_OPTIONS) pyproject.toml --extra telemetry -c requirements/app.txt -o requirements/image.txt
	$(BIN)/uv pip compile $(PIN_OPTIONS) pyproject.toml --group test -c requirements/image.txt -o requirements/test.txt
	$(BIN)/uv pip compile $(PIN_OPTIONS) pyproject.toml --group dev -c requirements/test.txt -o requirements/dev.txt

PIN_OPTIONS := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links

clean: ## Remove what make made, but never data
	rm -rf $(VENV) .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache test-results \
		tests/tools/node_modules

$(BIN)/uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' \
		|| { echo 'Postline runs on Python 3.11 to 3.14: set PYTHON=/path/to/python3.12, say.' >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
		|| { echo 'python3 lacks venv: on Debian, install python3-venv.' >&2; exit 1; }
	@# An environment that uv made has no pip: Python brings one, or else the uv that made it does the work.
	@if $(BIN)/python -m pip --version > /dev/null 2>&1 || $(BIN)/python -m ensurepip > /dev/null 2>&1; then \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt; \
	else \
		uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/uv.txt; \
	fi
	@touch $@

# Each set-up holds the one before it, so a later one serves the earlier one's targets too.
$(SET_UP)-app: requirements/app.txt | $(BIN)/uv
	$(INSTALL) $<
	@touch $@

$(SET_UP)-test: requirements/test.txt | $(BIN)/uv
	$(INSTALL) $<
	@touch $@ $(SET_UP)-app

$(SET_UP)-dev: requirements/dev.txt | $(BIN)/uv
	$(INSTALL) $<
	@touch $@ $(SET_UP)-app $(SET_UP)-test

INSTALL = @$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r
