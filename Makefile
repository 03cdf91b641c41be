# Everything here needs only python3 and make, and keeps to .venv.

# Any of CPython 3.11 to 3.13.
PYTHON ?= python3
PORT ?= 8000
SECONDS ?= 600
SEED ?= 1

VENV := .venv
BIN := $(VENV)/bin
SET_UP := $(VENV)/.set-up

.PHONY: run test soak fuzz bench check format contract pins clean

run: $(SET_UP)-app ## Serve on http://127.0.0.1:8000, on SQLite unless .env says otherwise
	@$(BIN)/litestar run --port $(PORT)

test: $(SET_UP)-test ## Run the tests; those that need a server say so when they skip
	@$(BIN)/pytest $(ARGS)

soak: $(SET_UP)-test ## Check the promises under faults for SECONDS (600) in each size; SEED chooses which
	@CHECK_SECONDS=$(SECONDS) CHECK_SEED=$(SEED) REQUIRE_SERVICES=1 $(BIN)/pytest tests/e2e/test_checker.py -k promises $(ARGS)

fuzz: $(SET_UP)-test ## Send what the OpenAPI document allows and what it does not for SECONDS (600), on each database
	@FUZZ_SECONDS=$(SECONDS) FUZZ_SEED=$(SEED) REQUIRE_SERVICES=1 $(BIN)/pytest tests/e2e/test_contract.py $(ARGS)

bench: $(SET_UP)-dev ## Measure against what else there is (ONLY=cached-list measures one row), and write docs/benchmarks.md
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(ARGS)

check: $(SET_UP)-dev ## Lint, check types, import rules, and the Docker and Compose files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

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
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo 'Postline runs on Python 3.11 to 3.13: set PYTHON=/path/to/python3.12, say.' >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
		|| { echo 'python3 lacks venv: on Debian, install python3-venv.' >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
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
