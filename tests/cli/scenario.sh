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

# goes NAME PATTERN: the text on stdin happens as it says, and shows that.
goes() {
	cat >"$work/other.scenario"
	run scenario "$work/other.scenario"
	[ $code = 0 ] && grep -qE -- "$2" <<<"$out"
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
says "a TLBI changes no count" "$out" 'tlbi ipas2e1is ram +issued; complete at a DSB$'
is "numbers of events that nobody sees" "$(grep -c 'from event' <<<"$out")" 0
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
met = [line["line"] for line in lines if line["kind"] == "expected" and "merge" in line["file"]]
said = [n for n, line in enumerate(open(sys.argv[1]), 1) if line.lstrip().startswith("expect")]
assert met == said, (met, said)
assert all(line["line"] > 0 for line in lines if line["kind"] == "step")' \
	"$STAGE2_SCENARIOS/merge.scenario" <<<"$out"
ok $? "--json says the same, and all expectations that are met"

# What a newcomer asks.
for pattern in 'L2 > L1 > L0 page' '^  gpa  .*guest' '^  hpa ' '^  hva .*VMM' 'old entries may be in TLBs' \
	"^  L0.*manual's level 3"; do
	says "--help explains $pattern" "$("$STAGE2" scenario --help)" "$pattern"
done
"$STAGE2" scenario --forms | sed -n '/^$/,$p' >"$work/words"
for word in RIGHTS TLBI DOMAIN RULE ERROR; do
	says "--forms explains $word" "$(cat "$work/words")" "^$word .{20}"
done
ok "$(grep -cE '.{101}' "$work/words")" "in lines of 100 columns"
# listed WORD BEGINNING: the names below that explanation of the word.
listed() {
	awk -v first="^$1 +$2" '/^[^ ]/ { on = $0 ~ first; sub(/.*:/, "") } on' "$work/words" |
		tr -s ' ' '\n' | grep .
}
{
	printf '%s\n' 'scenario "x"' 'area ram 2M pages at 0x80000000' 'slot ram at 0' 'part "y"'
	listed TLBI 'of one' | sed 's/.*/cpu 0 tlbi & ram/'
	listed TLBI without | sed 's/.*/cpu 0 tlbi &/'
	listed DOMAIN of | sed 's/.*/cpu 0 dsb &/'
	listed ERROR of | sed 's/.*/use h\nexpect error &/' | sed '1i hold h on ram for reading'
} >"$work/words.scenario"
run scenario "$work/words.scenario"
[ $code = 1 ] && [ -z "$err" ]
ok $? "the names of --forms can be said"
is "TLBIs and barriers of --forms" "$(grep -c '^cpu 0' "$work/words.scenario")" 27
is "errors of --forms" "$(grep -c '^expect error S2_' "$work/words.scenario")" 17
for words in '--list merge' 'merge --forms' '--json --list'; do
	# shellcheck disable=SC2086
	run scenario $words
	[ $code = 2 ] && [ -z "$out" ] && grep -q 'stands alone' <<<"$err"
	ok $? "'$words' is refused"
done

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
thinks "another number" 'but there was 1' <<<"$start
vcpu 1 reads ram
expect 2 faults"
thinks "old entries that are left" 'but there is 1' <<<"$start
vcpu 1 reads ram
cpu 0 breaks ram block
expect 0 stale"
thinks "caches that were cleaned" 'but 4M were cleaned' <<<"$start
vcpu 1 reads ram
expect caches untouched"
thinks "a violation that nobody expects" \
	'nothing here expects that taken-mapped is broken: if it should be, say .expect' <<<"$start
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
thinks "an entry without a table" "there is no table .* fault a" <<<"$start
cpu 0 makes ram page 0x80000000 rwx
expect ram unmapped"
is "the step stands first" "$(grep -nE '^  cpu 0 makes ram .*L2 nothing: not written$' <<<"$out" |
	cut -d: -f1)" "$(($(grep -n 'NOT AS SAID' <<<"$out" | cut -d: -f1) - 1))"
thinks "an entry in the place of a block" "engine splits' makes it one" <<<"$start
vcpu 1 reads ram
cpu 0 makes ram page 0x80000000 rwx
expect ram block 0x80000000 rwx normal"

# As it says.
goes "a neighbour's fault brings the table" 'L2 > L1 > L0 page 0x90001000 r--$' <<<"$start
host maps ram 2M pages at 0x90000000
vcpu 1 reads ram+0x1000
cpu 0 makes ram page 0x90001000 r--
expect ram page 0x90001000 r-- normal"
goes "a hold that is not in use has no end" 'done h +refused: S2_EINVAL: it was not in use$' <<<"$start
hold h on ram for reading
done h
expect error S2_EINVAL
use h
done h
expect error S2_OK"
goes "the guest's part has a line of its own" '^ {40}guest: L2 > L1 > L0 page 0x80000000 rwx$' <<<"$start
vcpu 1 reads ram
engine splits ram 2M
host unmaps ram 2M silently
expect violation taken-mapped"
says "one expectation is one" "$out" ': 1 expectation, 1 broken rule$'
goes "one old entry is one" '; 1 old entry may be in TLBs$' <<<"$start
vcpu 1 reads ram
cpu 0 breaks ram block
expect 1 stale"
goes "what comes of a block is not the step's" 'refused: S2_EAGAIN' <<<"scenario \"x\"
area ram 2M pages at 0x80000000
area more 2M pages at 0x90000000
area gone 2M pages at 0xa0000000
slot more at 0x50000000
slot gone at 0x60000000
host unmaps gone 2M
part \"y\"
vcpu 1 reads more
host unmaps ram 2M
	between begin and end:
		slot ram at 0x40000000
		expect error S2_EAGAIN
		vcpu 2 reads gone
		expect exit memory
expect error S2_OK
expect exit resume"
goes "010 is ten" '08K +done' <<<"$start
host unmaps ram 08K
expect ram unmapped"

# What TLBs may hold (in tests/cli/scenario.sh: `shows` with the threads, the rest where their kind stands).
shows tlb 'breaks ram\+0x1000 page +L2 > L1 > L0 nothing; 1 old entry may be in TLBs$' \
	'^ {40}gpa 0x40001000: page 0x80001000 rwx -> nothing$' 'BROKEN: taken-cached: ' \
	'dsb ish +1 old entry may be in TLBs; 0x80001000 rwx -> nothing$' \
	'^ {40}gpa 0x40001000: page 0x80001000 rwx -> nothing, not on CPU 0$' 'BROKEN: tlbi-local: ' \
	'^ {40}gpa 0x40001000: page 0x80001000 rwx -> nothing; 1 table$'
thinks "a TLB that holds nothing" 'but they may hold 0x80000000, which is current' <<<"$start
vcpu 1 reads ram
expect tlb ram none"
thinks "a TLB that holds what is gone" 'but they may hold 0x80003000, which is stale' <<<"$start
vcpu 1 reads ram
cpu 0 breaks ram block
expect tlb ram+0x3000 current"
thinks "a TLB that holds what was and what is" \
	'which is stale .it has rights that are gone' <<<"$start
vcpu 1 reads ram
engine write-protects ram 2M
	between break and make:
		expect tlb ram current"
thinks "a TLB that holds another page" 'but they may hold 0x80000000, which is current' <<<"$start
vcpu 1 reads ram
expect tlb ram current 0x90000000"
thinks "a TLB that never had it" 'but they may hold nothing of it' <<<"$start
vcpu 1 reads ram
host unmaps ram 2M
expect tlb ram stale"
goes "rights that are gone" '^ {40}gpa 0x40000000: block 0x80000000 rwx -> 0x80000000 r-x$' <<<"$start
vcpu 1 reads ram
engine write-protects ram 2M
	between break and make:
		show ram
		expect tlb ram stale 0x80000000
expect tlb ram current 0x80000000"
goes "a TLBI that waits for its DSB" 'rwx -> nothing, TLBI issued$' <<<"$start
vcpu 1 reads ram
cpu 0 breaks ram block
cpu 0 dsb ishst
cpu 0 tlbi ipas2e1is ram
show ram
expect 1 stale
cpu 0 dsb ish
show ram
expect 1 stale"
says "... and after it what is combined with stage 1" "$out" 'rwx -> nothing, combined$'
bad 'expect tlb ram none 0x1000' "is too much"
bad 'expect tlb ram old' "'old' should be"
run scenario --json tlb
is "JSON has what TLBs may hold" "$(grep -c '"kind":"tlb"' <<<"$out")" 5

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
bad 'host unmaps ram 010K' 'multiple of 4K'
bad 'host unmaps ram 0x' 'must be a number'
bad 'cpu 0 tlbi ipas2e1is' 'of one address: which'
bad 'cpu 0 tlbi vmalls12e1is ram' 'has no address'
bad 'cpu 0 tlbi ripas2e1is ram' 'of a range'
bad $'vcpu 1 reads ram\n\tbetween lookup and insertion' 'ends with a colon' 6
bad $'vcpu 1 reads ram\n\twhile it waits' 'ends with a colon' 6
# What is expected of a step needs one, in the same part and block.
bad 'expect exit resume' "no 'vcpu' step"
bad $'vcpu 1 reads ram\n\tbetween lookup and insertion:\n\t\texpect exit resume' "no 'vcpu' step" 7
bad $'host unmaps ram 2M\n\tbetween begin and end:\n\t\tvcpu 1 reads ram\nexpect exit resume' \
	"no 'vcpu' step" 8
bad 'expect error S2_OK' 'none that could fail'
bad $'vcpu 1 reads ram\nshow ram\nexpect error S2_OK' 'none that could fail' 7
bad $'vcpu 1 reads ram\n\tbetween lookup and insertion:\n\t\texpect error S2_OK' 'none that' 7
bad 'expect caches untouched' 'none that could clean'
bad $'slot ram at 0\nexpect caches untouched' 'none that could clean' 6
bad 'expect changed 0 equal 0' "no 'prefault' or 'engine'"
for expected in 'exit resume' 'error S2_OK' 'caches cleaned' 'changed 2M equal 0'; do
	refused "'expect $expected' of a step before the part" 7 'in its part' <<<"${prelude%part*}prefault ram 2M for reading
vcpu 1 reads ram
part \"y\"
expect $expected"
done
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
"$STAGE2" scenario --forms | sed '/^$/,$d; s/^ *//' | sort -u >"$work/forms"
while read -r form; do
	sed 's/\\|/|/g' "$page" | grep -qF -- "$form"
	ok $? "docs/scenarios.md has: $form"
done <"$work/forms"
finish
