# make run    sets everything up and serves         make check  the fast loop          make test   the gate
# make setup  the private environment and nothing else; does nothing while its two files stay the same

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; exit; }; done; echo python3)
BIN := .venv/bin

.PHONY: run check test setup lint fast unit exhaustive fuzz bench-dialects lock clean \
	test-opencode test-clients test-llama-cpp-python test-browser test-load test-fuzz-http

run: setup
	@exec $(BIN)/llama-bridge serve

# The fast loop, about a minute on two cores. `make test` is the gate.
check: setup lint fast

test: setup lint unit exhaustive

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

PARALLEL := -n $(or $(WORKERS),auto) --dist loadgroup
SLOW := exhaustive process engine

fast: setup
	$(BIN)/python -m pytest -q $(PARALLEL) $(SLOW:%=--ignore=tests/%)

unit: setup
	@rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -q $(PARALLEL) --ignore=tests/exhaustive

# Also cuts the texts of all other tests of the parser at every place. The tests of `unit` reach every
# line of the parser, so only the tests and the server's supervision are traced here: tracing doubles the time.
# The source is a path: to find a package by its name, coverage imports `proxy` and forgets it, and asyncio with it.
exhaustive: setup
	CUTS=every $(BIN)/coverage run --source=tests,proxy/llama_server -m pytest -q $(PARALLEL) tests/exhaustive tests/dialects tests/parsing
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# So many examples of every property for every dialect; other ones each time, unless SEED is a number. Two halves at once.
EXAMPLES ?= 2000
SEED ?= random
fuzz: setup
	@for half in what_is_written_is_read "cutting_changes_nothing or rubbish"; do \
		EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -q -p no:cacheprovider --hypothesis-seed=$(SEED) \
			tests/exhaustive/test_properties.py -k "$$half" & pids="$$pids $$!"; \
	done; for pid in $$pids; do wait $$pid || exit 1; done

bench-dialects: setup
	$(BIN)/python -m tests.bench_dialects

test-opencode: setup
	$(BIN)/python -m pytest -p no:cacheprovider tests/acceptance/opencode.py

test-clients: setup
	$(BIN)/python -m pytest -p no:cacheprovider tests/acceptance/clients.py

test-llama-cpp-python: setup
	$(BIN)/python -m pytest -p no:cacheprovider tests/acceptance/llama_cpp_python.py

# Needs Chromium (apt-get install chromium). The pictures it takes lie in build/browser.
test-browser: setup
	$(BIN)/python -m pytest -p no:cacheprovider tests/acceptance/browser.py

test-load: setup
	$(BIN)/python -m pytest -s -p no:cacheprovider tests/acceptance/load.py tests/acceptance/load_stalls.py

test-fuzz-http: setup
	$(BIN)/python -m pytest -s -p no:cacheprovider tests/acceptance/fuzz_http.py

setup:
	@cmp -s requirements.lock .venv/requirements.lock || $(MAKE) --no-print-directory .venv
	@cmp -s pyproject.toml .venv/pyproject.toml || $(MAKE) --no-print-directory install

.PHONY: .venv install
.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "llama-bridge needs Python 3.11 or newer. Found: $$({ $(PYTHON) --version || echo none; } 2>/dev/null)."; \
		echo "Install one (Debian/Ubuntu: sudo apt install python3.11 python3.11-venv; macOS: brew install python)"; \
		echo "or name the one you have:  make run PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) has no venv module, which the private environment is made with."; \
		echo "Install it (Debian/Ubuntu: sudo apt install python3-venv) and run make again."; exit 1; }
	@echo "Making the private environment .venv (once, about a minute) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --no-deps -r requirements.lock
	@cp requirements.lock .venv/requirements.lock

# The entry point of the command is in pyproject.toml.
install:
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@cp pyproject.toml .venv/pyproject.toml

# Needs uv (pip install uv). The lock holds every platform and the hash of every file.
# Of gguf the tests read one table, which needs none of its dependencies: with them the environment is twice as large.
LEFT_OUT := numpy pyyaml requests tqdm urllib3 charset-normalizer
lock:
	uv pip compile pyproject.toml --group dev --universal --generate-hashes --python-version 3.11 \
		--quiet --upgrade $(addprefix --no-emit-package ,$(LEFT_OUT)) --custom-compile-command "make lock" --output-file requirements.lock

clean:
	rm -rf .venv .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
