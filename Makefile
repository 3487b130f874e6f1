# `make test` is everything: servers, environment, format, lint, types, tests.
# It runs as root on a bare Debian 12, and as anyone where the servers are there.

PYTHON   ?= python3
VENV     ?= .venv
BIN      := $(VENV)/bin
STAMP    := $(VENV)/.installed
PYTEST_ARGS ?=

# program -> Debian package that brings it
SERVERS := docker-registry:docker-registry containerd:containerd ctr:containerd \
           dockerd:docker.io skopeo:skopeo umoci:umoci podman:podman \
           htpasswd:apache2-utils openssl:openssl sshd:openssh-server patchelf:patchelf objdump:binutils \
           nginx:nginx redis-server:redis-server ssh-keygen:openssh-client zstd:zstd \
           chromium:chromium par2:par2 ip:iproute2 ssh:openssh-client sudo:sudo

.PHONY: test servers lint types pytest containerd harbor format demo bench corruptions gap fleet \
        peers dist dist-arm64 clean

test: servers lint types pytest

# Installs what is missing, and only as root: others run with what they have,
# and the tests that lack a server say which (or fail, with --require-real).
servers:
	@PATH="$$PATH:/usr/sbin:/sbin" PYTHON="$(PYTHON)" sh scripts/servers.sh $(SERVERS)

$(STAMP): pyproject.toml | servers
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

pytest: $(STAMP)
	$(BIN)/python -m pytest --cov --cov-report=term $(PYTEST_ARGS)

# The tests that start a containerd, with another one: CONTAINERD_BIN is a folder with containerd,
# ctr and containerd-shim-runc-v2. Without it, with the one of this machine.
containerd: $(STAMP)
	$(BIN)/python -m pytest -m containerd $(if $(CONTAINERD_BIN),--containerd-bin "$(CONTAINERD_BIN)") \
	    $(PYTEST_ARGS)

# The tests of Harbor against one that runs: HARBOR is its address, HARBOR_ADMIN_PASSWORD that of
# its admin. Take one that is made for that; see tests/README.md. It takes half an hour.
harbor: $(STAMP)
	$(BIN)/python -m pytest -m harbor --harbor "$(HARBOR)" $(PYTEST_ARGS)

# Rewrites the sources the way `make lint` wants them.
format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Needs no servers and no tools of developers: what is not there is left out, and named.
demo:
	test -x $(BIN)/python || { PYTHON="$(PYTHON)" sh scripts/servers.sh && $(PYTHON) -m venv $(VENV); }
	$(BIN)/python -c 'import imgsync, click, requests, tqdm, zstandard' 2>/dev/null || \
	    $(BIN)/python -m pip install --quiet --editable .
	$(BIN)/python scripts/demo.py

bench: $(STAMP)
	$(BIN)/python -m tests.bench

# Damages a bundle a thousand times; the result is kept in docs/corruptions.md.
corruptions: $(STAMP)
	$(BIN)/python -m tests.bench.corruptions -n 1000

# What crosses the gap after an update, and the memory of a very large plan.
gap: $(STAMP)
	$(BIN)/python -m tests.bench.gap
	$(BIN)/python -m tests.bench.volumes
	$(BIN)/python -m tests.bench.memory

# Seeds twenty nodes on this machine; the result is kept in docs/fleet.md. Needs root.
fleet: $(STAMP)
	$(BIN)/python -m tests.bench.fleet

# What tools of others sign, write and read, beside imgsync; the result is kept in docs/peers.md.
# Those on PATH take part: cosign2, cosign3, notation, oras, regctl, crane, imgpkg, zot.
peers: $(STAMP)
	$(BIN)/python -m tests.peers

# A wheel, a wheelhouse, the standalone file and a Debian package, in dist/.
dist: $(STAMP)
	sh scripts/dist.sh $(BIN)/python

# The file and the package for arm64, in dist/arm64/, on a Debian host of another architecture:
# made and tried by qemu-user. Some minutes; docs/standalone.md has what came of it.
dist-arm64: $(STAMP)
	sh scripts/dist_arm64.sh $(BIN)/python build/arm64 dist/arm64
	$(BIN)/python -m tests.bench.arm64 build/arm64/qemu dist/arm64/imgsync

clean:
	rm -rf $(VENV) .coverage .coverage.* htmlcov coverage.xml dist build \
	    .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
