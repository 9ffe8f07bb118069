# `make up` brings the platform up on this machine; `make test` runs every test. Both install what they need.

STATE ?= /var/lib/berth/state.git
DATA  ?= /var/lib/berth/data
# The domain of a platform that `make up` begins.
DOMAIN ?= berth.localhost
export BERTH_STATE = $(STATE)
export BERTH_DATA  = $(DATA)
export BERTH_DOMAIN = $(DOMAIN)

.PHONY: up down trust test unit stories stories-long check bench deb deb-test vm

up:
	@[ "$$(id -u)" -eq 0 ] || { echo "this installs packages and sets the engine up: run \`sudo make up\`" >&2; exit 1; }
	scripts/install.sh run
	scripts/build.sh
	scripts/up.sh

down:
	scripts/down.sh

# Makes this machine trust the platform's own CAs. `scripts/trust.sh remove` takes it back.
trust:
	scripts/trust.sh

test: unit stories

unit:
	scripts/install.sh test
	cargo test --workspace --locked --exclude berth-tests

# Real processes: a private engine, real servers. Needs root, like the platform itself. `make stories ENGINE=28` tells them with another
# Docker, in the userland of the Debian that has it (20, 26, 28; tests/engine.sh); STORIES=create tells only those of that name.
stories:
	scripts/install.sh test
	cargo build --locked -p berth -p berth-gate -p berth-runtime -p berth-ssh-router -p berth-web
	$(if $(ENGINE),CARGO_TARGET_$(RUNNER)_RUNNER="$(CURDIR)/tests/engine.sh $(ENGINE)") cargo test --locked -p berth-tests $(if $(STORIES),--test stories -- $(STORIES))

# Cargo's name for this machine, as it is written in the names of its variables.
RUNNER = $(shell rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')

# Those that take too long for every run. docs/benchmarks.md says when they ran last.
stories-long:
	scripts/install.sh test
	cargo build --locked -p berth -p berth-gate -p berth-runtime -p berth-ssh-router -p berth-web
	cargo test --locked -p berth-tests --test stories -- --ignored

check:
	scripts/install.sh check
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo deny check bans licenses sources
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# target/debian/berth_<version>_<arch>.deb
deb:
	scripts/install.sh deb
	cargo build --release --locked -p berth -p berth-gate -p berth-runtime -p berth-ssh-router -p berth-web -p berth-packaging
	packaging/build.sh release

# That package in empty userlands: installed, upgraded, removed and purged. Needs root and a mirror of Debian's.
deb-test: deb
	packaging/try.sh target/debian/berth_*.deb

bench:
	scripts/install.sh bench
	cargo build --release --locked -p berth -p berth-gate -p berth-runtime -p berth-ssh-router -p berth-web
	cargo bench --locked -p berth-tests --bench berth

# A Debian 13 machine in QEMU with its own kernel, with the package, through the main flows. docs/operations.md says when it ran last.
vm: deb
	scripts/install.sh vm
	PATH="$$PWD/target/release:$$PATH" scripts/engine.sh
	target/release/berth image build
	tests/vm/run.sh $$(ls -t target/debian/berth_*.deb | head -n 1) $(NEWER)
