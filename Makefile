# Everything runs in a virtual environment of its own, .venv; python3.11 and make are all it takes.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check

.PHONY: demo test soak sanitize lint bench bench-core bench-ablation bench-candidates bench-evaluation bench-wavelet bench-archive format clean

# What a user installs; the build compiles core/, and again where that changes.
$(VENV)/user: pyproject.toml hatch_build.py $(wildcard core/*)
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	@touch $@

# torch first and by itself: its exact pin finds the CPU build where there is one.
$(VENV)/dev: $(VENV)/user
	$(PIP) torch==2.13.0
	$(PIP) -e '.[train,dev,monai]'
	@touch $@

demo: $(VENV)/user
	$(BIN)/xrc demo --output demo-output

test: $(VENV)/dev
	$(BIN)/pytest -n 2 --dist worksteal

# Minutes: 500 compressed instances through two gateways that are killed on the way, also as
# previews and remainders, and every crash point.
soak: $(VENV)/dev
	XRAYCODEC_SOAK=1 $(BIN)/pytest tests/gateway/test_soak.py tests/gateway/test_spool_crashes.py

# The native core under the address and undefined-behaviour sanitizers: a library of its own, run by
# the tests that reach it.
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all
sanitize: $(VENV)/dev
	rm -rf build/sanitize && mkdir -p build/sanitize
	cp -r src build/sanitize/src
	rm -f build/sanitize/src/xraycodec/core/libxrc_core.so
	gcc -std=c11 -O1 -g $(SANITIZERS) -shared -fPIC -o build/sanitize/src/xraycodec/core/libxrc_core.so core/*.c
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0 PYTHONPATH=build/sanitize/src \
	$(BIN)/pytest -n 2 tests/core tests/codecs/lattice/test_lattice_damage.py tests/test_vectors.py

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/dev
	$(BIN)/python benchmarks/run.py --json benchmarks/results/latest.json
	$(BIN)/python benchmarks/lossless.py --json benchmarks/results/lossless.json
	$(BIN)/python benchmarks/readme_tables.py

# Ten minutes: docs/wavelet.md.
LOSSY := wavelet jpeg2000 htj2k jpegxl avif avif-psnr
bench-wavelet: $(VENV)/dev
	$(BIN)/xrc benchmark --data $${XRAYCODEC_DATA:-../shared/data} --out runs/wavelet --only rd $(LOSSY:%=--codec %)
	$(BIN)/python benchmarks/wavelet_page.py --json runs/wavelet/benchmark.json

# docs/scale.md: an archive's throughput and overhead, and how fast a training loader is fed.
bench-archive: $(VENV)/dev
	$(BIN)/python benchmarks/archive.py --json benchmarks/results/archive.json
	$(BIN)/python benchmarks/loader.py --json benchmarks/results/loader.json
	$(BIN)/python benchmarks/archive_page.py

# Minutes: what the native core brings lattice (docs/decisions/0009-native-core.md).
bench-core: $(VENV)/dev
	$(BIN)/python benchmarks/core_speed.py --json benchmarks/results/core.json

# An hour or more: short trainings that differ in one choice each.
bench-ablation: $(VENV)/dev
	$(BIN)/python benchmarks/lattice_ablation.py --json benchmarks/results/lattice-ablation.json

# An hour and a half: candidates of the lossy codec, trained for equal minutes (docs/decisions/0007-wavelet.md).
bench-candidates: $(VENV)/dev
	$(BIN)/python benchmarks/lossy_candidates.py --json benchmarks/results/lossy-candidates.json

# Half an hour: docs/evaluation.md.
bench-evaluation: $(VENV)/dev
	XRAYCODEC_MODELS=weights $(BIN)/xrc benchmark --data $${XRAYCODEC_DATA:-../shared/data} --out runs/evaluation
	$(BIN)/python benchmarks/evaluation_page.py --json runs/evaluation/benchmark.json
	$(BIN)/python benchmarks/readme_tables.py

clean:
	rm -rf $(VENV) build dist demo-output .mypy_cache .ruff_cache .hypothesis
