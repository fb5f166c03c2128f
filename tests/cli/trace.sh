#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# trace.sh CASE: what `stage2 run --trace` records, in the eyes of `stage2 check`; and files that
# cannot be written.

. "$(dirname "$0")/tap.sh"
trace=$work/trace

# clean ENTRIES: the trace has no violation, and at least so many changes of entries were judged.
clean() {
	run check --json "$trace"
	is "exit code of check" $code 0
	is "violations" "$(json violations)" 0
	is "events in the file" "$(json events)" "$events"
	entries=$(json entries)
	[ "$entries" -ge "$1" ]
	ok $? "at least $1 entries were judged (got: $entries)"
}

# A guest must not notice.
debian() {
	run run --json --plain
	checksum=$(json checksum)
	says "the guest has a checksum" "$checksum" '^[0-9a-f]{64}$'
	run run --json --trace "$trace" "$@"
	is "exit code of a traced run $*" $code 0
	is "checksum" "$(json checksum)" "$checksum"
	events=$(json trace_events)
}

# The host takes memory away: each frame that it takes must be in nobody's TLB then.
reclaim() {
	debian --pages 4k --smp 2 --reclaim --merge
	at_least "pages that were taken" "$(json reclaim.taken)" 2000
	at_least "pages that were merged" "$(json reclaim.merged)" 100
	clean 10000
	run check --convert text --output "$work/text" "$trace"
	is "exit code of check --convert" $code 0
	at_least "frames that were declared taken" "$(grep -c ' take ' "$work/text")" 2000
	without ' tlbi ipas2\| empty ' taken-cached
}

# without PATTERN RULE: the same trace is rejected if these lines are not in it.
without() {
	grep -v -- "$1" "$work/text" >"$work/less"
	run check --json --max 0 "$work/less"
	is "exit code of check without '$1'" $code 1
	says "the rule is $2" "$out" "\"by_rule\":{[^}]*\"$2\":[0-9]"
}

# The bare-metal guest plays with the host for thousands of invalidations.
guest() {
	run run --json --test --kernel "$BUILD/arm64/tests/guest/stage2-test-guest.bin" \
		--initrd none --console "$work/console" --trace "$trace" "$@"
	is "exit code of the traced test guest $*" $code 0
	is "tests of its own that failed" "$(grep -c '^not ok' "$work/console")" 0
	events=$(json trace_events)
	clean 5000
	says "TLBIs were judged" "$(json tlbis)" '^[0-9]{4,}$'
	run check --convert text --output "$work/text" "$trace"
	is "exit code of check --convert" $code 0
}

# A file that looks like a kernel, for runs that must not start.
fake_image() {
	head -c 64 /dev/zero >"$work/Image"
	printf '\x00\x00\x00\x01' | dd of="$work/Image" bs=1 seek=16 conv=notrunc status=none
	printf 'ARM\x64' | dd of="$work/Image" bs=1 seek=56 conv=notrunc status=none
}

# refused NAME PATTERN OPTION...: exit code 2, nothing on stdout, stderr says PATTERN.
refused() {
	local name=$1 pattern=$2
	shift 2
	run run --kernel "$work/Image" --initrd none "$@"
	[ $code = 2 ] && [ -z "$out" ] && grep -qE -- "$pattern" <<<"$err"
	ok $? "$name is refused"
}

input() {
	fake_image
	export STAGE2_HYP_TRACE=$work/Image
	refused "a directory that is not there" "cannot write trace '/no/such/x': No such file" \
		--trace /no/such/x
	refused "a directory as file" "cannot write trace '$work': Is a directory" --trace "$work"
	refused "a full disk" "cannot write trace '/dev/full': No space left" --trace /dev/full
	refused "--trace without a hypervisor" "nothing to --trace" --plain --trace "$trace"
	refused "--trace with --icount" "--icount and --trace" --icount --trace "$trace"
	STAGE2_HYP_TRACE=/no/such refused "a hypervisor that is not there" "hypervisor '/no/such'" \
		--trace "$trace"
	unset STAGE2_HYP_TRACE

	run run --quiet --hyp "$BUILD/arm64/hyp/arm64/stage2-hyp.bin" --trace "$trace"
	is "exit code with a hypervisor that records nothing" $code 2
	says "it says which one does" "$err" 'records no trace: .*stage2-hyp-trace.bin'
	run run --quiet --pages 4k --trace >(head -c 100000 >/dev/null)
	is "exit code when the reader of a pipe is gone" $code 1
	says "it says so" "$err" "cannot write trace '.*': nobody reads it"
	run run --quiet --hyp "$BUILD/arm64/hyp/arm64/stage2-hyp-trace.bin"
	is "exit code of the tracing hypervisor without --trace" $code 0
	run run --quiet --timeout 1 --trace "$trace"
	run check "$trace"
	is "exit code of check after a run that was cut short" $code 0
}

case $1 in
boot)
	debian
	clean 40
	;;
4k)
	debian --pages 4k --smp 2
	clean 10000
	;;
guest)
	guest --smp 1 --pages 4k
	without ' tlbi ipas2' tlbi-missing
	without ' tlbi vmalle1' tlbi-stage1
	without ' dsb ishst' tlbi-early
	without ' dsb ish ' tlbi-incomplete
	;;
guest-smp) guest --smp 4 ;;
guest-a57) guest --smp 2 --cpu cortex-a57 ;;
reclaim) reclaim ;;
input) input ;;
*)
	echo "Bail out! no case '$1'"
	exit 2
	;;
esac
finish
