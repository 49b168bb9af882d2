# Needs python3 (3.11 or newer, with venv) and make. Everything else goes into .venv and var/.
PYTHON ?= python3
SHOP ?= fashion
PORT ?= 8000
BIN := .venv/bin

.PHONY: run test proof lint format install install-dev install-proof

run: install ## Serve the demo shop on this machine: make run [SHOP=gifts] [PORT=8000]
	@exec $(BIN)/python manage.py up --shop $(SHOP) --port $(PORT) --with-parent

test: install-dev ## Style and tests; browser tests where Chromium is
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -q -n 2 --dist loadfile
	@if command -v chromium || command -v chromium-browser || command -v google-chrome; then \
		echo "$(BIN)/python -m pytest -q -m browser tests/browser"; \
		DJANGO_ALLOW_ASYNC_UNSAFE=1 $(BIN)/python -m pytest -q -m browser tests/browser; \
	else \
		echo "Browser tests SKIPPED: no Chromium on this machine (on Debian: apt install chromium)"; \
	fi

proof: install-proof ## What takes longer: many seeds, kills, soak
	$(BIN)/python -m pytest -q -m proof --timeout 1200

lint: install-dev ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install:
	@$(PYTHON) recsite/install.py run

install-dev:
	@$(PYTHON) recsite/install.py dev

install-proof: install-dev
	@$(PYTHON) recsite/install.py proof
