# SPDX-License-Identifier: BSD-2-Clause
# The few words that one types. Meson builds (build/ native, build/arm64 the hypervisor), scripts/
# installs and fetches; this only puts them in order.

BUILD := build
PREFIX ?= /usr/local
STAGE2 := $(BUILD)/tools/stage2
# More options of `stage2 run`, as in: make run ARGS='--smp 2 --interactive'
ARGS ?=

.PHONY: all run live test bench check mutants fuzz install clean help
.NOTPARALLEL:

all:
	@scripts/setup run
	@scripts/build $(BUILD) $(PREFIX)

run: all
	$(STAGE2) run --report $(BUILD)/run $(ARGS)
	@echo "$(BUILD)/run.svg is a picture of it; make run ARGS=--interactive gives a shell."

# Debian's own kernel as KVM host, its guests busy, under the checker. HOST: see tests/live/host.
live: all
	@scripts/fetch-qemu >/dev/null
	HOST='-b $(BUILD) $(HOST)' $(STAGE2) check --live $(ARGS) -- tests/live/machine

test:
	@scripts/setup run test
	@scripts/fetch-qemu >/dev/null
	@scripts/fetch-kvm-host >/dev/null
	@scripts/build $(BUILD) $(PREFIX) clang
	@scripts/run-tests $(BUILD)

# One operation: $(BUILD)/bench/stage2-bench --op NAME (docs/bench.md).
bench: all
	@scripts/setup run test
	@linux=$$(scripts/fetch-linux-source) && { [ -f $(BUILD)/bench/build.ninja ] || \
		meson setup $(BUILD)/bench bench -Dlinux="$$linux"; }
	@ninja -C $(BUILD)/bench --quiet
	$(BUILD)/bench/stage2-bench --json $(BUILD)/bench.json
	bench/report $(BUILD)/bench.json --svg $(BUILD)/bench.svg
	@echo "$(BUILD)/bench.svg is a picture of it."
	bench/ratio $(STAGE2) $(BUILD)/bench-run.json
	bench/events $(STAGE2)
	$(BUILD)/bench/stage2-stream

check:
	@scripts/setup run test check
	@scripts/build $(BUILD) $(PREFIX)
	@scripts/check $(BUILD)

# Bugs put back, one by one: each must be caught, and for the right reason. ARGS='--tenth 3', a name...
mutants:
	@scripts/setup run test
	tests/mutants/run $(ARGS)

# Hostile traces. ARGS: seconds.
fuzz:
	@scripts/setup run test
	fuzz/run $(or $(ARGS),60) $(BUILD)/fuzz

# As root: build as yourself first, so that this compiles nothing. DESTDIR is honoured.
install:
	meson install -C $(BUILD) --no-rebuild
	install -D -m 644 $(BUILD)/arm64/hyp/arm64/stage2-hyp.bin \
		$(DESTDIR)$(PREFIX)/share/stage2/stage2-hyp.bin
	install -D -m 644 $(BUILD)/arm64/hyp/arm64/stage2-hyp-trace.bin \
		$(DESTDIR)$(PREFIX)/share/stage2/stage2-hyp-trace.bin
	install -D -m 644 $(BUILD)/initramfs.cpio $(DESTDIR)$(PREFIX)/share/stage2/initramfs.cpio

clean:
	rm -rf $(BUILD)

help:
	@echo 'make          install what is missing, fetch the guest, build everything'
	@echo 'make run      boot Debian on our second stage; ARGS= takes options of stage2 run:'
	@echo '                make run ARGS=--interactive            to a shell'
	@echo "                make run ARGS='--smp 2 --pages 4k'     two CPUs, no blocks"
	@echo '                make run ARGS=--help                   all of them'
	@echo "make live     judge Debian's KVM while its guests are busy (HOST='-m nvhe', '-k backports'...)"
	@echo 'make test     run every test'
	@echo 'make check    run the linters'
	@echo 'make mutants  put bugs back that others shipped: each must be caught'
	@echo "make fuzz     throw broken traces at the checker (ARGS='600': seconds)"
	@echo "make bench    time our tables beside KVM's and io-pgtable's (build/bench.json, bench.svg), the"
	@echo '              guest with and without the hypervisor (build/bench-run.json), and the checker'
	@echo '              on a long trace'
	@echo 'make install  to PREFIX=$(PREFIX); DESTDIR= is honoured'
	@echo 'make clean    remove $(BUILD)/; the fetched guest stays in the cache'
	@echo 'Without root or sudo, what is missing is printed as the one line to type.'
