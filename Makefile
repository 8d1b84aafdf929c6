# The project's verbs. Each works alone, from a fresh clone, and CI calls the same ones (.ci/run).
# Options: make run PORT=9000 · make DEVICE=cpu … · make PYTHON=python3.12 … · make test PYTEST_ARGS="-k overlay"

SHELL = /bin/sh

HOST = 127.0.0.1
PORT ?= 8000
PYTEST_ARGS =
IMAGE = discern
RUN_ENV = .venv
DEV_ENV = .venv-dev
# Commands and files that tests drive, and the Debian packages they come in.
TEST_COMMANDS = chromium=chromium+fonts-dejavu-core nginx=nginx-light ip=iproute2 \
    Orthanc=orthanc /usr/share/orthanc/plugins/libOrthancDicomWeb.so=orthanc-dicomweb \
    /usr/share/orthanc/plugins/libOrthancGdcm.so=orthanc-gdcm storescu=dcmtk dciodvfy=dicom3tools \
    java=default-jre-headless /usr/share/java/pixelmed.jar=libpixelmed-java psql=postgresql jing=jing \
    rsyslogd=rsyslog+rsyslog-gnutls+rsyslog-openssl

# onnxruntime and onnxruntime-gpu share one import name: an environment holds one of them, never both.
DEVICE := $(shell if nvidia-smi -L >/dev/null 2>&1 || [ -d /proc/driver/nvidia ]; then echo gpu; else echo cpu; fi)
COMPOSE := $(shell if docker compose version >/dev/null 2>&1; then echo docker compose; else echo docker-compose; fi)
RUN_STAMP = $(RUN_ENV)/.installed-$(DEVICE)
DEV_STAMP = $(DEV_ENV)/.installed-$(DEVICE)
export PYTHON

.PHONY: help run test cover check fmt hooks bench image image-test up down clean

## help        this list
help:
	@sed -n 's/^## /make /p' Makefile

## run         install what serving needs into .venv (no torch), and serve on http://127.0.0.1:8000/
run: $(RUN_STAMP)
	@exec $(RUN_ENV)/bin/discern serve --host $(HOST) --port $(PORT)

## test        install what tests need into .venv-dev, and run them all but the slow ones and the benchmarks
test: $(DEV_STAMP)
	@sh tools/system_packages.sh $(TEST_COMMANDS)
	$(DEV_ENV)/bin/python -m pytest --numprocesses=2 --dist=loadgroup --cov --cov-report= $(PYTEST_ARGS)
	@echo "Lines and branches covered: $$($(DEV_ENV)/bin/python -m coverage report --format=total) % (make cover)"

## cover       what the last `make test` covered; fails where app/domain is not complete
cover: $(DEV_STAMP)
	$(DEV_ENV)/bin/python -m coverage report
	$(DEV_ENV)/bin/python -m coverage report --include='app/domain/*' --fail-under=100

## check       lint, format, types, layers
check: $(DEV_STAMP)
	$(DEV_ENV)/bin/ruff check .
	$(DEV_ENV)/bin/ruff format --check .
	$(DEV_ENV)/bin/mypy
	$(DEV_ENV)/bin/lint-imports

## fmt         format, and mend what can be mended without thinking
fmt: $(DEV_STAMP)
	$(DEV_ENV)/bin/ruff check --fix-only .
	$(DEV_ENV)/bin/ruff format .

## hooks       check every commit before it is made (.pre-commit-config.yaml)
hooks: $(DEV_STAMP)
	$(DEV_ENV)/bin/pre-commit install

## bench       latency, throughput and start-up on this machine
bench: $(DEV_STAMP)
	$(DEV_ENV)/bin/python -m pytest -m benchmark --capture=no $(PYTEST_ARGS)

## image       build the container image with docker, podman or buildah (DEVICE=gpu: with the CUDA libraries)
image:
	@sh tools/build_image.sh $(DEVICE) $(IMAGE)

## image-test  build the image with buildah, run it, and let it screen a film
image-test: $(DEV_STAMP)
	@sh tools/system_packages.sh buildah=buildah debootstrap=debootstrap
	$(DEV_ENV)/bin/python -m pytest -m "slow and integration" tests/integration/test_image.py $(PYTEST_ARGS)

## up          the service behind its gateway, in containers, on http://127.0.0.1:8080/ (DEVICE=gpu: on the GPU)
up:
	$(COMPOSE) --profile $(DEVICE) up --build --detach

## down        stop what `make up` started
down:
	$(COMPOSE) --profile $(DEVICE) down

## clean       remove both environments and every cache
clean:
	rm -rf $(RUN_ENV) $(DEV_ENV) build dist *.egg-info .coverage .benchmarks .hypothesis .import_linter_cache \
	    .mypy_cache .pytest_cache .ruff_cache
	find . -name .git -prune -o -type d -name __pycache__ -exec rm -rf {} +

$(RUN_STAMP): pyproject.toml tools/install.sh
	@sh tools/install.sh $(RUN_ENV) $(DEVICE) example,pacs

$(DEV_STAMP): pyproject.toml tools/install.sh
	@sh tools/install.sh $(DEV_ENV) $(DEVICE) example,pacs,train,dev
