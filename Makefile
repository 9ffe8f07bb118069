# `make up` brings the platform up on this machine; `make test` runs every test. Both install what they need.

STATE ?= /var/lib/berth/state.git
DATA  ?= /var/lib/berth/data
export BERTH_STATE = $(STATE)
export BERTH_DATA  = $(DATA)

.PHONY: up down test unit stories stories-long check bench vm

up:
	scripts/install.sh run
	cargo build --release --locked -p berth -p berth-gate -p berth-runtime -p berth-ssh-router -p berth-web
	scripts/up.sh

down:
	scripts/down.sh

test: unit stories

unit:
	scripts/install.sh test
	cargo test --workspace --locked --exclude berth-tests

# Real processes: a private engine, real servers. Needs root, like the platform itself.
stories:
	scripts/install.sh test
	cargo build --locked -p berth -p berth-gate -p berth-runtime -p berth-ssh-router -p berth-web
	cargo test --locked -p berth-tests

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

bench:
	scripts/install.sh bench
	cargo build --release --locked -p berth -p berth-gate -p berth-runtime -p berth-ssh-router -p berth-web
	cargo bench --locked -p berth-tests --bench berth

# A Debian 13 machine in QEMU with its own kernel, with the package, through the main flows. docs/operations.md says when it ran last.
vm: deb
	scripts/install.sh vm
	scripts/engine.sh
	berth image build
	tests/vm/run.sh $$(ls -t target/debian/berth_*.deb | head -n 1) $(NEWER)
