# Everything there is to learn: `make setup`, `make run`, `make test`, `make check`.
# Needed beforehand: make and Python 3.11 or newer.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: bench check clean coverage format help image lock proof reloads run setup test

VENV := .venv
BIN := $(VENV)/bin
UV := .tools/bin/uv
READY := $(VENV)/.ready
IMAGE ?= channel-router

# uv is to use an interpreter that is here, never to fetch one.
export UV_PYTHON_DOWNLOADS := never
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH
# The tests start hundreds of processes: each would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

# Prints the first interpreter that is new enough: $PYTHON if given, else what is on the PATH.
define find-python
for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python; do \
    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
        && command -v "$$python" && exit 0; \
done; \
echo 'No Python 3.11 or newer was found. Install one, or name it: make setup PYTHON=/path/to/python' >&2; \
exit 1
endef

help: ## show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

setup: $(READY) ## make the environment in .venv

# With uv where it can be had, else with venv and pip alone, which is slower.
$(READY): requirements.lock pyproject.toml
	@set -e; \
	python=$$($(find-python)); \
	if ! [ -x $(UV) ] && ! command -v uv >/dev/null; then \
	    echo "Fetching uv into .tools/"; \
	    "$$python" -m pip install --quiet --target .tools uv \
	        || echo "uv cannot be had; going on with pip."; \
	fi; \
	uv=$$([ -x $(UV) ] && echo $(UV) || command -v uv || true); \
	$(BIN)/python -c '' 2>/dev/null || rm -rf $(VENV); \
	echo "Installing what requirements.lock names into $(VENV)/"; \
	if [ -n "$$uv" ]; then \
	    [ -d $(VENV) ] || "$$uv" venv --quiet --seed --python "$$python" $(VENV); \
	    "$$uv" pip install --python $(BIN)/python --quiet --require-hashes \
	        --requirements requirements.lock; \
	    "$$uv" pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation --editable .; \
	else \
	    [ -x $(BIN)/pip ] || "$$python" -m venv $(VENV); \
	    $(BIN)/pip install --quiet --require-hashes --requirement requirements.lock; \
	    $(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .; \
	fi; \
	touch $@

run: setup ## start the daemon on router.toml as it stands
	@exec $(BIN)/router run $(ARGS)

# All of them run two at a time; what ARGS picks runs one by one, so that -s and --pdb work.
test: setup ## run every test; ARGS="-k name" for some
	@tests/browser.sh $(BIN)/python
	@$(BIN)/pytest $(or $(ARGS),--numprocesses=2 --dist=worksteal)

coverage: setup ## run every test and say which lines none of them reached
	@tests/browser.sh $(BIN)/python
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(ARGS); status=$$?; \
	$(BIN)/coverage combine --quiet && $(BIN)/coverage report && exit $$status

check: setup ## format, lint, types, layers, the rules' own tests, docs
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/router rules test rules --min-coverage 100 --min-killed 95
	@$(BIN)/pytest --quiet tests/docs

format: setup ## put the code into shape
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

bench: setup ## measure, as JSON and as a table; ARGS="--minutes 20" to see what grows in a long run
	@$(BIN)/python -m tests.bench $(ARGS)

proof: setup ## kill daemons 500 times on each store, and check; SHARD=3/10 for a tenth
	@$(BIN)/python -m tests.proof $(if $(SHARD),--shard $(SHARD)) $(ARGS)

reloads: setup ## reload a daemon 1,000 times while webhooks come in, and check
	@ROUTER_RELOADS=1000 $(BIN)/pytest tests/acceptance/test_reload.py -k neither_lost -rP $(ARGS)

image: ## build the container image, with whichever builder is here
	@set -e; \
	if docker info >/dev/null 2>&1; then docker build --tag $(IMAGE) --file Containerfile .; \
	elif command -v podman >/dev/null; then podman build --format docker --tag $(IMAGE) .; \
	elif command -v buildah >/dev/null; then buildah build --format docker --tag $(IMAGE) $(BUILDAH_ARGS) .; \
	else echo 'No builder was found. Install docker, podman or buildah.' >&2; exit 1; fi

lock: ## pin what pyproject.toml newly asks for; ARGS=--upgrade pins the newest of everything
	@set -e; \
	uv=$$([ -x $(UV) ] && echo $(UV) || command -v uv) \
	    || { echo 'Pinning needs uv. Run make setup, which fetches it.' >&2; exit 1; }; \
	"$$uv" pip compile pyproject.toml --quiet --universal --python-version 3.11 --all-extras \
	    --group dev --generate-hashes --no-header --no-emit-index-url \
	    --output-file requirements.lock $(ARGS)
	@! grep -n '://' requirements.lock

clean: ## remove what was built, not the data
	rm -rf $(VENV) .tools build dist .coverage* .mypy_cache .ruff_cache .pytest_cache \
	    .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
