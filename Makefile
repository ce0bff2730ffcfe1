# make run: the dashboard on this machine.  make check: the fast tests.  make test: all of them.

PYTHON ?= python3
PORT ?= 8501
INSTRUCTION ?= What is the capital of Austria?
BIN := .venv/bin
export HF_HUB_DISABLE_TELEMETRY := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run check test lint install-dev browser port-is-free clean
.NOTPARALLEL:

run: port-is-free .venv/.installed
	@$(BIN)/python -m model_utils generation --instruction "$(INSTRUCTION)"
	@echo
	@echo "Candor is at http://127.0.0.1:$(PORT) (a browser opens where there is a screen; Ctrl-C stops it)."
	@exec $(BIN)/streamlit run dashboard/app.py --server.port $(PORT) --server.address 127.0.0.1

# Types and tests take one core each.
check: .venv/.installed-dev
	@$(MAKE) --no-print-directory lint & lint=$$!; \
	$(BIN)/python -m pytest -q -m "not slow and not browser"; tests=$$?; \
	wait $$lint && exit $$tests

# Two processes on a core each: torch's threads in both would wait for each other. The browser tests are a run of their own, because their
# Python process should not hold torch; those that measure times have both cores.
test: .venv/.installed-dev browser lint
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not browser"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal -m "browser and not alone"
	@$(BIN)/python -m pytest -q -m alone

lint:
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

install-dev: .venv/.installed-dev

browser: .venv/.installed-dev
	@$(BIN)/python tests/browser/find_browser.py

port-is-free:
	@command -v $(PYTHON) >/dev/null || { echo "Candor needs Python 3.11 or newer, and there is no $(PYTHON) here: install it, or name one with PYTHON=."; exit 1; }
	@$(PYTHON) -c 'import socket; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", int("$(PORT)")))' 2>/dev/null \
	|| { echo "Port $(PORT) cannot be used, most likely because another program (another Candor?) has it: try make run PORT=8502."; exit 1; }

# A stamp is newer than the requirements it installed, so a second start installs nothing.
.venv/.installed: requirements.txt | .venv/bin/python
	@echo "Installing the packages of requirements.txt into .venv (once; a few minutes)."
	@$(BIN)/python -m pip install --quiet -r requirements.txt
	@touch $@

.venv/.installed-dev: requirements-dev.txt requirements.txt | .venv/bin/python
	@echo "Installing the packages of requirements-dev.txt into .venv (once; a few minutes)."
	@$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@touch .venv/.installed $@

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "Candor needs Python 3.11 or newer, and there is no $(PYTHON) here: install it, or name one with PYTHON=."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Candor needs Python 3.11 or newer, and $(PYTHON) is older: name another with PYTHON=."; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "$(PYTHON) could not make .venv: on Debian and Ubuntu, apt install python3-venv."; exit 1; }

clean:
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
