# The product's own commands; each line stands alone.
SHELL := /bin/bash
PY := .venv/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help run demo test browser life drill bench lint fix clean

help: ## Show these lines
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

.venv/.runtime: requirements.txt
	@test -x $(PY) || python3 -m venv .venv
	@echo "Installing requirements.txt ..." && $(PY) -m pip install -q -r requirements.txt
	@touch $@

.venv/.tests: .venv/.runtime tests/requirements.txt
	@echo "Installing tests/requirements.txt ..." && $(PY) -m pip install -q -r tests/requirements.txt
	@touch $@

run: .venv/.runtime ## Start the whole product on http://127.0.0.1:5000 (Ctrl-C stops it)
	@exec $(PY) app.py

demo: .venv/.runtime ## Run the main job unattended on the practice shop (JSON=1: one JSON object as the last line)
	@exec $(PY) -m bench.demo $(if $(JSON),--json)

test: .venv/.tests ## Set up what the tests need and run all of them
	@scripts/test-setup
	@$(PY) -m pytest tests --ignore=tests/browser --ignore=tests/house -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)
	@$(PY) -m pytest tests/house tests/browser -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

browser: .venv/.tests ## Only the tests in a real browser
	@scripts/test-setup
	@$(PY) -m pytest tests/browser $(ARGS)

life: .venv/.tests ## A shop that lives at random for STEPS=3000 steps (SEED=1 chooses which): nothing may be lost, doubled or forgotten
	@SEED=$(or $(SEED),1) STEPS=$(or $(STEPS),3000) $(PY) -m pytest tests/life -s $(ARGS)

drill: .venv/.tests ## The long exactly-once drills, creation and after sales: 640 orders, 61 SIGKILLs, Redis flushed and restarted, lost answers
	@$(PY) -m bench.drill $(if $(JSON),--json) && exec $(PY) -m bench.drill_aftersales $(if $(JSON),--json)

bench: .venv/.tests ## Speed as ratios within one run (JSON=1: one JSON object a line)
	@exec $(PY) -m bench.run $(if $(JSON),--json)

lint: .venv/.tests ## Everything CI checks about the text of the code
	@$(PY) -m ruff check . && $(PY) -m ruff format --check . && .venv/bin/lint-imports && $(PY) -m mypy && .venv/bin/djlint --profile=jinja --lint connector/templates --quiet

fix: .venv/.tests ## Let ruff format and mend what it can
	@$(PY) -m ruff check --fix . ; $(PY) -m ruff format .

clean: ## Forget the local installation: database, keys, practice shop
	@find instance -mindepth 1 ! -name README.md -delete
