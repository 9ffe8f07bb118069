# `make up` brings the platform up on this machine; `make test` runs every test. Both install what they need.

STATE ?= /var/lib/berth/state.git
DATA  ?= /var/lib/berth/data
export BERTH_STATE = $(STATE)
export BERTH_DATA  = $(DATA)

.PHONY: up down test unit stories check bench

up:
	scripts/install.sh run
	cargo build --release --locked -p berth -p berth-runtime -p berth-ssh-router
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
	cargo build --locked -p berth -p berth-runtime -p berth-ssh-router
	cargo test --locked -p berth-tests

check:
	scripts/install.sh check
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo deny check bans licenses sources
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

bench:
	scripts/install.sh bench
	cargo build --release --locked -p berth -p berth-runtime -p berth-ssh-router
	cargo bench --locked -p berth-tests --bench berth
