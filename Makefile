PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test bench soak model check docs lock dist sbom clean

demo: $(READY)  ## move a live app from Redis to Supabase and Chroma, stage by stage, on this machine
	$(BIN)/python -m demo

test: $(READY)  ## every test, on real servers: a stack of them for each processor, four at most
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist worksteal

bench: $(READY)  ## how fast, beside the raw limits and the peers, on this machine
	$(BIN)/python -m benchmarks

soak: $(READY)  ## look longer for a loss: 100,000 schedules and 200 kills, or round after round for MINUTES=10
	$(BIN)/python -m tests.chaos.soak $(MINUTES)

model:  ## the models of the protocol, through all schedules, and without each mechanism; needs Spin
	$(PYTHON) docs/model/check.py

check: $(READY)  ## format, lint, types, floors of the source tree, weak spots, CI's files, the examples of the docs, their site
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy tests/identity/typed.py
	$(BIN)/lint-imports --no-cache
	$(BIN)/bandit --quiet --confidence-level medium --configfile pyproject.toml --recursive src scripts demo examples docs
	$(BIN)/zizmor --offline --no-progress --quiet --persona auditor .github/workflows
	$(BIN)/python -m pytest --quiet tests/e2e/test_examples.py
	$(MAKE) docs

docs: $(READY)  ## the docs as a site, in site/; a link that leads nowhere is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

lock: $(READY)  ## pin anew what our own runs install
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --all-extras \
		--group dev --group bench --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
		--python-version 3.11 --output-file scripts/sbom.lock scripts/sbom.in
	$(BIN)/python -m tests.frameworks lock

dist: $(READY)  ## the wheel and the source distribution, each time the same bytes of the same commit
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --no-isolation

sbom: $(READY)  ## what our runs install, and what the local stack fetches, as CycloneDX in build/sbom
	$(BIN)/python scripts/sbom.py build/sbom

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

clean:
	rm -rf .venv .venv-frameworks .venv-sbom .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build site
