# Each target sets up what it needs: uv (in .uv/ where the machine has none), the locked environment in .venv/, then the work.
# Python 3.10 to 3.12 and make are enough. pip and uv take packages from wherever they are configured to.
# ARGS passes on: `make test ARGS="-k lif"`, `make demo ARGS=--help`.

UV := $(or $(shell uv --version >/dev/null 2>&1 && command -v uv),.uv/bin/uv)
RUN := $(UV) run --locked
READY := $(filter .uv/bin/uv,$(UV))

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs bench

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(READY) ## Train, quantize, compile, run, verify, learn on the chip; writes report.html
	$(RUN) seamount demo $(ARGS)

test: $(READY) ## The default test suite (ARGS="-m slow": the slow tests)
	$(RUN) pytest $(ARGS)

lint: $(READY) ## Style, formatting and types
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) pyright

docs: $(READY) ## The documentation site, in site/
	NO_MKDOCS_2_WARNING=1 $(RUN) --group docs mkdocs build --strict $(ARGS)

bench: $(READY) ## Every benchmark, tests/bench/bench_*.py
	@set -e; for file in $(sort $(wildcard tests/bench/bench_*.py)); do echo "== $$file"; $(RUN) python $$file $(ARGS); done

.uv/bin/uv:
	python3 -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check uv
