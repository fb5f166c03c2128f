#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# `stage2 scenario`: every scenario that comes with stage2 happens as it says, shows what it is
# about, and fits on a screen; one that says otherwise fails; and a bad file is refused by line.

. "$(dirname "$0")/tap.sh"
export STAGE2_SCENARIOS=$SOURCE/tests/scenarios

# shows NAME PATTERN...: it happens as it says, in 40 lines of 100 columns, and shows all of that.
shows() {
	local name=$1 pattern
	shift
	run scenario "$name"
	[ $code = 0 ] && [ -z "$err" ] && grep -q '^All as it says: ' <<<"$out"
	ok $? "$name happens as it says"
	[ "$(wc -l <<<"$out")" -le 40 ] && ! grep -qE '.{101}' <<<"$out"
	ok $? "$name fits on a screen"
	for pattern; do
		says "$name shows it" "$out" "$pattern"
	done
}

# thinks NAME PATTERN: the last line of the text on stdin is not so: exit code 1, and it is said.
thinks() {
	cat >"$work/other.scenario"
	run scenario "$work/other.scenario"
	[ $code = 1 ] && grep -qE -- "$2" <<<"$out" && grep -q '^Not as it says: ' <<<"$out"
	ok $? "$1"
}

# refused NAME LINE PATTERN: the text on stdin is bad in that line.
refused() {
	cat >"$work/bad.scenario"
	run scenario "$work/bad.scenario"
	[ $code = 2 ] && [ -z "$out" ] && grep -qE -- "bad.scenario:$2: .*$3" <<<"$err"
	ok $? "$1 is refused, with its line"
}

# bad LINE PATTERN: such a step is refused.
bad() {
	refused "'${1//$'\n'/ / }'" "${3:-5}" "$2" <<<"$prelude$1"
}
prelude=$'scenario "x"\narea ram 2M blocks at 0x80000000\nslot ram at 0\npart "y"\n'

# The threads.
shows device 'host unmaps bar 2M +the guest loses L2 > L1 block 0x10000000 rw- device' \
	'vcpu 1 reads bar\+0x1000 +fault: L2 > L1 block 0x20000000 rw- device$' \
	'\.\.\. vcpu 1 reads bar +fault: sent away to try again'
shows device-exec 'vcpu 1 executes bar +fault: abort into the guest' \
	'vcpu 1 executes bar +permission fault: exit to the VMM: execution from a device'
shows framebuffer 'writes fb +fault: L2 > L1 > L0 page 0x101ff000 rw- device' \
	'writes fb\+0x1000 +fault: L2 > L1 block 0x10200000 rw- device' \
	'writes fb\+0x1ff000 +no fault'
shows prefault 'prefault early 4M for writing +done: L2 > L1 block 0x10000000 rw- device' \
	'vcpu 1 writes late\+0x5000 +fault: L2 > L1 block 0x20000000 rw- device'
shows dax 'BROKEN: use-after-free: ' 'waits for the hold' 'use dma +refused: S2_ENOENT' \
	'use dma +hpa 0x140001000'
shows merge 'BROKEN: tlbi-range: made valid at gpa 0x40000000' \
	'dsb ish +511 old entries may be in TLBs' 'dsb ish +0 old entries may be in TLBs' \
	'\.\.\. vcpu 1 writes ram +permission fault: L2 > L1 block 0x80000000 rwx'
is "the rule is broken by the old version alone" "$(grep -c BROKEN <<<"$out")" 1
shows vcpus '\.\.\. vcpu 2 writes ram +fault: equal' '\.\.\. vcpu 1 writes ram +fault: equal' \
	'changed 28K, equal 4K' 'S2_EEXIST'
shows slot 'BROKEN: taken-mapped: gpa 0x40001000' 'slot ram at 0x40000000 +refused: S2_EAGAIN'

# All that there are, found by name and as files.
run scenario --list
is "exit code of --list" $code 0
is "--list knows all" "$(wc -l <<<"$out")" "$(find "$STAGE2_SCENARIOS" -name '*.scenario' | wc -l)"
run scenario "$STAGE2_SCENARIOS"/*.scenario
is "exit code of all of them" $code 0
is "all of them are as they say" "$(grep -c '^All as it says' <<<"$out")" \
	"$(find "$STAGE2_SCENARIOS" -name '*.scenario' | wc -l)"
cp -r "$STAGE2_SCENARIOS" "$work/elsewhere"
STAGE2_SCENARIOS=$work/elsewhere run scenario merge
is "exit code from another directory" $code 0

# JSON.
run scenario --json merge slot
is "exit code with --json" $code 0
python3 -c 'import json, sys
lines = [json.loads(line) for line in sys.stdin]
sums = [line for line in lines if line["kind"] == "summary"]
broken = [line["text"].split(":")[0] for line in lines if line["kind"] == "violation"]
assert broken == ["tlbi-range", "taken-mapped"], broken
assert [s["as_said"] for s in sums] == [True, True] and [s["violations"] for s in sums] == [1, 1]
assert all(line["line"] > 0 for line in lines if line["kind"] == "step")' <<<"$out"
ok $? "--json says the same"
says "--help explains how to read it" "$("$STAGE2" scenario --help)" 'L2 > L1 > L0 page'

# Terminals get colours, pipes do not, and nobody who does not want them.
run scenario merge
[[ $out != *$'\033'* ]]
ok $? "no colours in a pipe"
terminal() {
	python3 -c 'import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)' "$@" </dev/null \
		>"$work/out" 2>&1
}
terminal env -u NO_COLOR "$STAGE2" scenario merge
grep -q $'\033\\[31m' "$work/out"
ok $? "colours on a terminal"
terminal env NO_COLOR=1 "$STAGE2" scenario merge
grep -q BROKEN "$work/out" && ! grep -q $'\033' "$work/out"
ok $? "no colours with NO_COLOR"

# Not as it says.
start=$'scenario "x"\narea ram 2M blocks at 0x80000000\nslot ram at 0x40000000\npart "y"'
thinks "another leaf than expected" 'but it is L2 > L1 block 0x80000000 rwx' <<<"$start
vcpu 1 reads ram
expect ram block 0x80000000 r-x normal"
thinks "a leaf where none is expected" 'but it is L2 > L1 block' <<<"$start
vcpu 1 reads ram
expect ram unmapped"
thinks "another exit" 'but it is memory' <<<"$start
host unmaps ram 2M
vcpu 1 reads ram
expect exit resume"
thinks "another error" 'but it is S2_EOVERLAP' <<<"$start
slot ram at 0x80000000
expect error S2_OK"
thinks "another number" 'but there were 1' <<<"$start
vcpu 1 reads ram
expect 2 faults"
thinks "old entries that are left" 'but there are 1' <<<"$start
vcpu 1 reads ram
cpu 0 breaks ram block
expect 0 stale"
thinks "caches that were cleaned" 'but 4M were cleaned' <<<"$start
vcpu 1 reads ram
expect caches untouched"
thinks "a violation that nobody expects" 'nothing here expects that taken-mapped is broken' <<<"$start
vcpu 1 reads ram
host unmaps ram 2M silently
expect ram block 0x80000000 rwx normal"
thinks "a violation that does not come" 'but no rule was broken' <<<"$start
vcpu 1 reads ram
host unmaps ram 2M
expect violation taken-mapped"
thinks "another violation" 'but taken-mapped was broken' <<<"$start
vcpu 1 reads ram
host unmaps ram 2M silently
expect violation tlbi-missing"
thinks "two that are not alike" 'differ at offset 0x1000' <<<"$start
area more 2M pages at 0x90000000
slot more at 0x50000000
engine maps ram 8K to 0x80000000 rwx
engine maps more 4K to 0x90000000 rwx
expect ram more alike 8K"
thinks "waiting for ever" "waits for ever: nobody ends" <<<"$start
hold h on ram for reading
use h
expect error S2_OK
host unmaps ram 2M"
thinks "waiting for what cannot go on" 'waits for ever: for the step' <<<"$start
vcpu 1 reads ram
engine splits ram 2M
	between break and make:
		host unmaps ram 4K
expect ram unmapped"
thinks "a vCPU in two places" 'vCPU 1 is in the midst' <<<"$start
vcpu 1 reads ram
	between lookup and insertion:
		vcpu 1 reads ram
expect 1 faults"

# Bad input.
bad 'jump over ram' "no line begins with 'jump'"
bad 'vcpu 1 sings ram' "'sings' should be reads.writes.executes"
bad 'vcpu 1 reads' 'ends too early: after .reads. comes ADDRESS'
bad 'vcpu 9 reads ram' 'CPUs 0 to 7'
bad 'vcpu one reads ram' "'one': this must be a number"
bad 'vcpu 1 reads rom' 'no area is called so'
bad 'vcpu 1 reads ram+2M' 'leaves its area, which has 2M'
bad 'vcpu 1 reads ram+x' 'the offset must be a number'
bad 'vcpu 1 reads ram twice' "'twice' is too much"
bad 'host unmaps ram 4097' 'multiple of 4K'
bad 'host unmaps ram 99999999999999999999' 'must be a number'
bad 'host unmaps ram+0x800 4K' 'not a multiple of 4K'
bad 'host unmaps ram+4K 2M' 'leaves its area'
bad 'host unmaps ram 0' 'size of 0'
bad 'host moves ram 4K to 0' 'hpa 0'
bad 'area ram 2M blocks at 0x90000000' 'this name is taken'
bad 'area 4th 2M blocks at 0x90000000' 'begins with a letter'
bad 'area rom 2G blocks at 0x90000000' 'more than 1G'
bad 'area rom 2M stone at 0x90000000' "'stone' should be pages.blocks.dax.device"
bad 'use ram' 'no hold is called so'
bad 'write through ram' 'no pointer is called so'
bad 'cpu 0 tlbi everything' "manual's name"
bad 'cpu 0 dsb everywhere' 'domain'
bad 'engine maps ram 4K to 0x1000 all' 'three letters'
bad 'expect error EIO' 'S2_EAGAIN'
bad 'expect violation good-manners' 'no rule is called so'
bad 'say hello' 'double quotes'
bad 'say "hello' 'no closing quote'
bad $'say "caf\303\251"' 'not plain ASCII'
bad $'area rom 2M pages at 0x1000\nvcpu 1 reads rom' "the guest has no 'rom'" 6
bad $'vcpu 1 reads ram\n\tbetween meals:' 'opens no block' 6
bad $'slot ram at 0\n\tbetween lookup and insertion:' 'no such moment' 6
bad $'vcpu 1 reads ram\nbetween lookup and insertion:' 'indented more' 6
bad $'vcpu 1 reads ram\n\tbetween lookup and insertion:\nexpect 1 faults' 'block is empty' 6
bad $'vcpu 1 reads ram\n\tbetween lookup and insertion:' 'block is empty' 6
bad $'\tvcpu 1 reads ram' 'indented by 1, the steps of its block by 0'
bad $'vcpu 1 reads ram\n    vcpu 2 reads ram' 'indented by 4' 6
bad 'vcpu 1 reads ram' 'this part expects nothing' 4
bad $'expect 0 faults\npart "z"\nvcpu 1 reads ram' 'this part expects nothing' 6
refused "a file without a title" 1 "begins with 'scenario" <<<'part "x"'
refused "two titles" 2 'one scenario' <<<$'scenario "x"\nscenario "y"'
refused "a file without parts" 2 'nothing happens' <<<$'scenario "x"'
refused "an empty file" 1 'nothing happens' </dev/null

for word in nothing /no/such.scenario "$work" --bogus; do
	run scenario "$word"
	[ $code = 2 ] && [ -n "$err" ] && [ -z "$out" ]
	ok $? "'${word##*/tmp.*}' is refused"
done
run scenario
is "exit code without a file" $code 2
head -c 300000 /dev/zero | tr '\0' '\n' >"$work/large.scenario"
run scenario "$work/large.scenario"
[ $code = 2 ] && grep -q 'larger than 256K' <<<"$err"
ok $? "a file of 300 KB is refused"
head -c 3000 /dev/urandom >"$work/noise.scenario"
run scenario "$work/noise.scenario"
is "exit code of noise" $code 2

# The manual has every option and every form.
page=$SOURCE/docs/scenarios.md
for option in list forms json; do
	grep -q -- "Fl -$option" "$SOURCE/man/stage2-scenario.1"
	ok $? "--$option is in the manual"
done
"$STAGE2" scenario --forms | sed 's/^ *//' | sort -u >"$work/forms"
while read -r form; do
	sed 's/\\|/|/g' "$page" | grep -qF -- "$form"
	ok $? "docs/scenarios.md has: $form"
done <"$work/forms"
finish
