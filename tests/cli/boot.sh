#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# boot.sh CASE: boots Debian on the second stage and judges what comes out.

. "$(dirname "$0")/tap.sh"

# Of the workload in plain QEMU: it depends on neither CPUs nor hypervisor.
plain_checksum() {
	run run --json --plain
	is "exit of the guest without hypervisor" "$(json guest_exit)" off
	checksum=$(json checksum)
	says "it has a checksum" "$checksum" '^[0-9a-f]{64}$'
}

# boots OPTION...: the guest must come to its end with plain QEMU's checksum.
boots() {
	plain_checksum
	run run --json --report "$work/report" --console "$work/console" "$@"
	is "exit code of run $*" $code 0
	is "guest_exit" "$(json guest_exit)" off
	is "checksum" "$(json checksum)" "$checksum"
	is "faults that nothing served" "$(json other_faults)" 0
	cmp -s "$work/out" "$work/report.json"
	ok $? "--report wrote the same JSON"
	grep -q '</svg>' "$work/report.svg"
	ok $? "--report wrote a picture"
	says "the console was written" "$(cat "$work/console")" "Linux version"
	for key in wall_s ram_faults device_faults table_pages tlbi el2_cycles_per_fault.median \
		el2_cycles_per_fault.p99 el2_cycles_per_fault.unit; do
		says "the JSON has $key" "$(json $key)" '^([0-9.]+|ns)$'
	done
}

# reclaims OPTION...: the host takes memory away all the time, and the guest must not notice.
reclaims() {
	boots --reclaim --merge "$@"
	at_least "pages that were taken" "$(json reclaim.taken)" 5000
	at_least "... of zeros" "$(json reclaim.zeros)" 500
	at_least "... given back" "$(json reclaim.given_back)" 1000
	at_least "... moved" "$(json reclaim.moved)" 1000
	at_least "... merged" "$(json reclaim.merged)" 100
	at_least "... unshared" "$(json reclaim.unshared)" 20
	at_least "... that were looked at" "$(json reclaim.scanned)" 20000
	at_least "... and young" "$(json reclaim.young)" 5000
	# Nothing is given back that was not taken, nor out that is neither.
	at_most "pages given back" "$(json reclaim.given_back)" "$(json reclaim.taken)"
	at_most "pages out at once" "$(json reclaim.out_peak)" "$(json reclaim.taken)"
	says "no page of the workload has changed" "$(grep -c 'workload: .*changed\|differs' \
		"$work/console")" '^0$'
}

# A guest that plays with slots and their host itself.
reclaims_guest() {
	run run --json --test --kernel "$BUILD/arm64/tests/guest/stage2-test-guest.bin" \
		--initrd none --console "$work/console" --reclaim --merge --smp 4
	is "exit code of the test guest" $code 0
	is "tests of its own that failed" "$(grep -c '^not ok' "$work/console")" 0
	at_least "pages that were taken" "$(json reclaim.taken)" 1000
	at_least "... given back" "$(json reclaim.given_back)" 100
}

# A limit that is soon reached is kept; each option alone; with the other clock.
limits() {
	local run

	plain_checksum
	run run --json --reclaim=1
	is "checksum with --reclaim=1" "$(json checksum)" "$checksum"
	limit=$(($(json ram_size) / 4096 / 100))
	is "pages out at once" "$(json reclaim.out_peak)" "$limit"
	is "pages merged" "$(json reclaim.merged)" 0
	run run --json --merge
	is "checksum with --merge alone" "$(json checksum)" "$checksum"
	is "pages taken" "$(json reclaim.taken)" 0
	at_least "pages merged" "$(json reclaim.merged)" 100
	run run --json --reclaim --merge --icount --smp 2
	is "checksum with --icount" "$(json checksum)" "$checksum"
	at_least "pages taken then" "$(json reclaim.taken)" 1000
	run run --quiet --reclaim --merge
	says "the report tells of it" "$out" 'Reclaimed .*[1-9][0-9]* pages taken'
}

terminal() {
	for way in poweroff quit term hup qemu stop; do
		"$PTY" "$way" "$STAGE2" run --interactive >"$work/out" 2>"$work/err"
		code=$?
		ok $code "the terminal is as before after: $way"
	done
	printf 'echo $((6 * 7))\nnproc\n' |
		"$STAGE2" run --interactive --smp 2 >"$work/out" 2>"$work/err"
	is "exit code of a script as input" $? 0
	says "the guest's shell did its work" "$(tr -d '\r' <"$work/out")" '^42$'
	run run --plain
	! grep -q $'\r\|\033' "$work/out"
	ok $? "no control characters where there is no terminal"
	NO_COLOR='' "$PTY" live "$STAGE2" run >"$work/out" 2>"$work/err"
	code=$?
	ok $code "there is a live line on a terminal"
}

# No way to end a run leaves an emulator behind: ours inherit this test's own name in $TAG.
strays() {
	grep -lsz "^TAG=$TAG\$" /proc/[0-9]*/environ | while read -r file; do
		{ tr '\0' ' ' <"${file%environ}cmdline"; } 2>/dev/null | grep '^qemu-system'
	done
}

ends() {
	export TAG=stage2-$$

	run run --json --append 'rdinit=/nothing root=/dev/nothing'
	is "exit code when the kernel panics" $code 1
	is "guest_exit then" "$(json guest_exit)" reset
	says "the JSON says so" "$(json panic)" .
	run run --append 'rdinit=/nothing root=/dev/nothing' --quiet
	says "the report says so" "$out" panicked

	run run --json --timeout 1
	is "exit code after --timeout" $code 1
	is "guest_exit then" "$(json guest_exit)" timeout
	run run --json --append 'rdinit=/bin/busybox -- sleep 1000' --stall 3 --timeout 60
	is "exit code of a guest that sleeps" $code 1
	is "guest_exit then" "$(json guest_exit)" stall

	# Guests that do themselves harm, from tests/guest: into nothing, over their own tables.
	local guest=$BUILD/arm64/tests/guest/stage2-test-guest.bin
	run run --json --test --kernel "$guest" --append test=jump-nowhere
	is "exit code of a guest that jumps into nothing" $code 1
	is "guest_exit then" "$(json guest_exit)" stuck
	run run --json --test --kernel "$guest" --append test=own-tables
	is "exit code of a guest that writes over its tables" $code 1
	is "guest_exit then" "$(json guest_exit)" stuck
	run run --json --test --kernel "$guest" --append test=own-tables-zero --stall 3
	is "exit code of one that then faults for ever by itself" $code 1
	is "guest_exit then" "$(json guest_exit)" stall

	"$STAGE2" run --quiet >/dev/null 2>&1 </dev/null &
	sleep 1
	says "an emulator runs" "$(strays)" qemu
	kill -KILL $!
	wait $! 2>/dev/null
	sleep 0.5
	is "emulators after kill -9" "$(strays)" ""
	"$STAGE2" run 2>"$work/err" </dev/null | head -n 1 >/dev/null
	is "exit code when nobody reads the console" "${PIPESTATUS[0]}" 1
	is "emulators then" "$(strays)" ""
}

icount() {
	local run

	for run in 1 2; do
		run run --json --icount --console "$work/console$run" --report "$work/report$run"
		is "exit code of run $run" $code 0
		"$JSON_GET" "$work/out" faults >"$work/numbers$run"
		for key in ram_faults device_faults exits invalidations el2_cycles_per_fault leaves \
			guest_s table_pages checksum; do
			json $key
		done >>"$work/numbers$run"
	done
	is "unit" "$(json el2_cycles_per_fault.unit)" instructions
	for name in console numbers; do
		cmp "$work/${name}1" "$work/${name}2"
		ok $? "the $name of two runs are identical"
	done
	cmp "$work/report1.svg" "$work/report2.svg"
	ok $? "the pictures are identical"
}

case $1 in
default)
	boots
	at_most "RAM faults with blocks" "$(json ram_faults)" 40
	;;
smp)
	boots --smp 2
	is "CPUs that were started" "$(json cpus)" 2
	;;
gic2) boots --gic 2 ;;
4k)
	boots --pages 4k
	is "leaves above 4K" "$(json leaves.2M)" 0
	;;
cortex-* | neoverse-*) boots --cpu "$1" ;;
reclaim) reclaims --pages 4k ;;
reclaim-smp) reclaims --smp 2 ;;
reclaim-4) reclaims --smp 4 ;;
reclaim-a57) reclaims --cpu cortex-a57 --gic 2 --smp 2 ;;
reclaim-guest) reclaims_guest ;;
reclaim-limit) limits ;;
icount) icount ;;
ends) ends ;;
terminal) terminal ;;
*)
	echo "Bail out! no case '$1'"
	exit 2
	;;
esac
finish
