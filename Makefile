# make demo | test | test-all | check | docs | lock | audit: each makes .venv and installs what it needs by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Two test processes; one that is done takes tests over from the other.
SIDE_BY_SIDE := -n 2 --dist worksteal

.PHONY: install demo test test-all check docs lock audit clean

install: $(STAMP)

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/imageclf-train

# Hundreds of processes import the package: it is compiled once, whatever the environment says.
test test-all: export PYTHONDONTWRITEBYTECODE =

test: $(STAMP)
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m 'not long'

# Both parts run, and both count.
test-all: $(STAMP)
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m 'not alone'; code=$$?; \
	$(BIN)/python -m pytest -m alone && exit $$code

check: $(STAMP) docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_docs.py -m 'not long'

# The pages of docs/ as a site in site/; a link that leads nowhere ends it.
docs: $(STAMP)
	$(BIN)/sphinx-build -q -W --keep-going -n -b html docs site

# CI installs the newest releases within the ranges of pyproject.toml, so that a bad one is noticed;
# requirements.lock has the versions of one day, to go back to by `pip install -r requirements.lock`.
lock: $(STAMP)
	$(BIN)/python -m pip install --quiet --dry-run --ignore-installed --report - '.[dev]' \
		| $(BIN)/python .ci/lock.py > requirements.lock

# Asks pypi.org for known weaknesses of the locked versions.
audit:
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet pip-audit
	$(VENV)/audit/bin/pip-audit --no-deps --disable-pip -r requirements.lock

# Once, in a clone that becomes a project of its own: make rename NAME=..., see docs/project.md.
.PHONY: rename
rename: $(STAMP)
	@$(BIN)/python .ci/rename.py '$(NAME)'

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache build dist site
