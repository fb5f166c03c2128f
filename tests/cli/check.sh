#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# `stage2 check`: what it finds and how it says so, what it says to bad traces, and that a trace
# survives being converted. The rules themselves have tests of their own.

. "$(dirname "$0")/tap.sh"
seeds=$SOURCE/fuzz/seeds

# refused NAME PATTERN OPTION...: exit code 2, and stderr says PATTERN.
refused() {
	local name=$1 pattern=$2
	shift 2
	run check "$@"
	[ $code = 2 ] && grep -qE -- "$pattern" <<<"$err"
	ok $? "$name is refused"
}

# bad LINE PATTERN: a trace with this third line is refused, with that number.
bad() {
	printf 'stage2-trace 1\ncpu pa=48\n%s\n' "$1" >"$work/bad.trace"
	refused "'$1'" "bad.trace: line 3: .*$2" "$work/bad.trace"
}

# A clean trace; the same without its TLBIs by address; the same twice over.
cp "$seeds/good.trace" "$work/good.trace"
{
	echo "# expect: tlbi-missing"
	grep -v 'tlbi ipas2e1is' "$work/good.trace"
} >"$work/broken.trace"

run check "$work/good.trace"
is "exit code of a clean trace" $code 0
says "it is called clean" "$out" '^.*good.trace: clean; [0-9]+ events, 2 entries judged, 2 TLBIs, 5 DSBs, 2 guest entries$'
is "nothing is on stderr" "$err" ""
run check "$work/broken.trace"
is "exit code of a broken trace" $code 1
says "the report names the rule" "$out" '^tlbi-missing: '
says "the summary counts it" "$out" 'broken.trace: 1 violation \(tlbi-missing 1\); '
run check --max 0 "$work/broken.trace"
is "exit code with --max 0" $code 1
is "--max 0 shows the summary only" "$(wc -l <<<"$out")" 2
says "what is not shown is said" "$out" '^1 more were not shown'
run check "$work/good.trace" "$work/broken.trace" "$work/good.trace"
is "exit code of several traces is the highest" $code 1
is "several traces have a summary each" "$(grep -c 'guest entries' <<<"$out")" 3
"$STAGE2" check - <"$work/broken.trace" >"$work/out" 2>"$work/err"
is "exit code from standard input" $? 1
says "standard input has a name" "$(cat "$work/out")" '^standard input: 1 violation'
run check --expect "$work/good.trace" "$work/broken.trace"
is "exit code of what was expected" $code 0
sed 's/expect: .*/expect: bbm-output/' "$work/broken.trace" >"$work/other.trace"
run check --expect "$work/other.trace"
is "exit code of another rule" $code 1
says "both rules are named" "$err" 'violation 1 should be bbm-output, but is tlbi-missing'
sed '1d' "$work/broken.trace" >"$work/none.trace"
run check --expect "$work/none.trace"
is "exit code of an unexpected violation" $code 1
sed 's/^0 tlbi vmalle1is/&/; 1a # expect: tlbi-missing' "$work/broken.trace" >"$work/two.trace"
run check --expect "$work/two.trace"
is "exit code of a missing violation" $code 1
says "it is named" "$err" 'violation 2 should be tlbi-missing, but is none'
sed 's/expect: .*/expect: no-such-rule/' "$work/broken.trace" >"$work/unknown.trace"
refused "an unknown rule in a trace" "'no-such-rule', which is no rule" --expect "$work/unknown.trace"


# Without hints: nothing is owed before the guest is entered again, but then.
sed '/^0 write 0x40012000 0$/,/^0 run$/{/tlbi\|dsb ish$\|0x510007db/d}' "$work/good.trace" >"$work/owed.trace"
run check "$work/owed.trace"
is "exit code of an invalidation that nobody owes" $code 0
run check --owed-at-run "$work/owed.trace"
is "exit code with --owed-at-run" $code 1
sed -i '1i # option: owed-at-run' "$work/owed.trace"
run check "$work/owed.trace"
is "exit code where the trace asks for it" $code 1
sed -i '1s/owed/own/' "$work/owed.trace"
refused "an unknown option in a trace" "line 1: 'own.*' .* owed-at-run" "$work/owed.trace"

# JSON.
run check --json "$work/broken.trace"
is "exit code with --json" $code 1
is "two objects" "$(wc -l <"$work/out")" 2
cp "$work/out" "$work/lines"
head -n 1 "$work/lines" >"$work/out"
is "the violation's rule" "$(json rule)" tlbi-missing
tail -n 1 "$work/lines" >"$work/out"
is "violations in the summary" "$(json violations)" 1
is "violations by rule" "$(json by_rule.tlbi-missing)" 1
is "entries in the summary" "$(json entries)" 2
run check --json "$work/good.trace"
is "a clean trace has a summary alone" "$(wc -l <"$work/out")" 1
is "its violations" "$(json violations)" 0

# Rules.
run check --rules
is "exit code of --rules" $code 0
rules=$(grep -cE '^[a-z]' <<<"$out")
[ "$rules" -gt 40 ]
ok $? "--rules shows more than 40 rules (got: $rules)"
run check --rules --json
is "--rules --json shows as many" "$(grep -o '"rule":' "$work/out" | wc -l)" "$rules"
run check --explain tlbi-early
is "exit code of --explain" $code 0
says "it says what is right" "$out" '^  right '
run check --explain tlbi-early --json
is "the rule as JSON" "$(json rule)" tlbi-early
refused "an unknown rule" "no rule is called 'x'" --explain x

# Conversion: text and binary hold the same, whichever way and however often.
for name in good all; do
	run check --convert text "$seeds/$name.trace"
	cp "$work/out" "$work/1.trace"
	run check --convert binary -o "$work/2.trace" "$work/1.trace"
	is "exit code of --convert binary" $code 0
	run check --convert text "$work/2.trace"
	cmp "$work/out" "$work/1.trace"
	ok $? "$name: text from binary is the text that it was made from"
	run check --convert binary -o "$work/3.trace" "$seeds/$name.trace"
	cmp "$work/3.trace" "$work/2.trace"
	ok $? "$name: binary from a text with comments is the same"
	grep -vE '^(#|$)' "$seeds/$name.trace" | sed 's/ #.*//' | cmp - "$work/1.trace"
	ok $? "$name: the text is the original without comments"
done
is "bytes of a record and of the head" "$(stat -c %s "$work/2.trace")" \
	$((24 + 32 * ($(wc -l <"$work/1.trace") - 2)))
run check --convert binary -o "$work/good.bin" "$work/good.trace"
run check "$work/good.bin"
is "exit code of the binary trace" $code 0
says "the verdict on it" "$out" 'good.bin: clean; [0-9]+ events, 2 entries judged'
run check --convert casemate "$work/good.trace"
is "exit code of --convert casemate" $code 0
says "a root is announced" "$out" '^\(hint \(id [0-9]+\) \(tid 0\) \(kind set_root_lock\) \(location 0x40010000\) \(value 0x[0-9a-f]+\) \(src "trace:[0-9]+"\)\)$'
says "a write" "$out" '^\(mem-write \(id [0-9]+\) \(tid 0\) \(mem-order release\) \(address 0x40010000\) \(value 0x40011003\) \(src "trace:[0-9]+"\)\)$'
says "a TLBI" "$out" '^\(tlbi \(id [0-9]+\) \(tid 0\) ipas2e1is \(value 0x0\) \(src "trace:[0-9]+"\)\)$'
says "a barrier" "$out" '^\(barrier \(id [0-9]+\) \(tid 0\) dsb \(kind ish\) \(src "trace:[0-9]+"\)\)$'
is "nothing else" "$(grep -vcE '^\((mem-init|mem-write|sysreg-write|hint|barrier|tlbi) \(id [0-9]+\) \(tid [0-9]+\) .* \(src "[0-9a-z]+:[0-9]+"\)\)$' "$work/out")" 0
is "ids count from 0" "$(sed 's/.*(id \([0-9]*\)).*/\1/' "$work/out" | tail -n 1)" \
	$(($(wc -l <"$work/out") - 1))
cat >"$work/other.trace" <<EOT
stage2-trace 1
0 sysreg vttbr_el2 0x1000040010000
0 dmb ishst
0 write 0x40010000 0x1003 size 2
0 write 0x40010004 1 size 4
0 tlbi ripas2le1is 0x140008000000
0 sysreg vttbr_el2 0x2000040020000
0 inval 1 0 4096
0 free 0x40010000 4096
0 dsb sy
0 dsb ld
0 take 0x1000 4096
EOT
run check --convert casemate "$work/other.trace"
sed -E 's/ \(id [0-9]+\) \(tid 0\)//; s/ \(src .*/)/' "$work/out" >"$work/records"
cmp "$work/records" - <<EOT
(mem-init (address 0x40010000) (size 0x1000))
(hint (kind set_root_lock) (location 0x40010000) (value 0x40010000))
(sysreg-write (sysreg vttbr_el2) (value 0x1000040010000))
(mem-write (mem-order release) (address 0x40010000) (value 0x1003))
(mem-write (mem-order plain) (address 0x40010000) (value 0x100001003))
(tlbi vmalls12e1is)
(mem-init (address 0x40020000) (size 0x1000))
(hint (kind set_root_lock) (location 0x40020000) (value 0x40020000))
(sysreg-write (sysreg vttbr_el2) (value 0x2000040020000))
(sysreg-write (sysreg vttbr_el2) (value 0x1000040010000))
(tlbi vmalls12e1is)
(sysreg-write (sysreg vttbr_el2) (value 0x2000040020000))
(hint (kind release_table) (location 0x40010000) (value 0x0))
(barrier dsb (kind ish))
EOT
ok $? "narrow writes, ranges, other VMIDs and freed roots become what they should"
says "what was dropped is counted" "$err" '^stage2: 2 events have no counterpart'
sed 's/vtcr_el2 .*/vtcr_el2 0x80053558/' "$work/good.trace" >"$work/concatenated.trace"
refused "a tree that casemate does not know" "event [0-9]+: VTCR_EL2 is 0x80053558 here" \
	--convert casemate "$work/concatenated.trace"

# Bad traces: each says the line, the word and what was expected.
bad '0 wrte 0x1000 0' "'wrte' .* an event, such as write"
bad '64 run' "'64' .* a CPU from 0 to 63"
bad '0 write' 'it ends where .* an address'
bad '0 write 0x1000' 'it ends where .* a value'
bad '0 write 0x 0' "'0x' .* an address"
bad '0 write 0x1000 99999999999999999999' "'9+' .* a value"
bad '0 write 0x1000 0 size 3' "'3' .* 1, 2, 4 or 8"
bad '0 write 0x1000 0 atomic leaf' "'leaf' .* size, atomic, release, hardware"
bad '0 tlbi vmalle1iss' "'vmalle1iss' .* a TLBI"
bad '0 tlbi vmalle1is 3' "'3' .* @PC or the end"
bad '0 tlbi ipas2e1is' 'it ends where .* an address'
bad '0 dsb full' "'full' .* a barrier"
bad '0 sysreg ttbr0_el1 0' "'ttbr0_el1' .* vttbr_el2"
bad '0 init 0x1000 0 12' "'12' .* a multiple of 8"
bad '0 init 0xfffffffffffff000 0 8192' "beyond 2\^64"
bad '0 inval 1 0 0 level 5' "'5' .* a level"
bad '0 inval 65536 0 0' "'65536' .* a VMID"
bad '0 local 1 0 4096 rq' "'rq' .* rights"
bad '0 ic 0x1000 0' 'ic all'
bad '0 run @' "'@' .* program counter"
bad '0 run @1 2' "'2' .* the end of the line"
bad '0 run again' "'again' .* @PC"
bad 'cpu fwb' 'once, before the first event'
bad '# expect:' 'it ends where .* rule'
printf 'stage2-trace 1\n0 write %05000d 0\n' 1 >"$work/x"
refused "a line of 5000 digits" "line 2: is longer than the 4095 bytes" "$work/x"
bad $'0 \e[31mrun' "'\?\[31mrun' .* an event"
printf 'stage2-trace 2\n' >"$work/x"
refused "another version" "line 1: '2' .* 1, the version" "$work/x"
printf 'stage2-trace 1\ncpu pa=60\n' >"$work/x"
refused "60 bits of address" "line 2: 'pa=60'" "$work/x"
: >"$work/x"
refused "an empty trace" 'line 1: the trace is empty' "$work/x"
echo 'hello, world' >"$work/x"
refused "a text that is no trace" "line 1: 'hello,' .*is this a trace" "$work/x"
echo 'SPAM' >"$work/x"
refused "a binary that is no trace" "record 0: .*is this a trace" "$work/x"
head -c 100 "$work/good.bin" >"$work/x"
refused "a binary trace that was cut off" "record 3: only 12 of its 32 bytes" "$work/x"
head -c 20 "$work/good.bin" >"$work/x"
refused "a head that was cut off" "record 0: only 20 of the 24 bytes" "$work/x"
{ head -c 24 "$work/good.bin" && head -c 32 /dev/zero | tr '\0' '\377'; } >"$work/x"
refused "a record of nothing but ones" "record 1: its kind is none" "$work/x"
refused "a missing trace" "trace '/no/such': No such file" /no/such
refused "a directory" "cannot read: Is a directory" "$work"
run check "$work/x" "$work/good.trace"
is "exit code where one of two is bad" $code 2
says "the other one is judged" "$out" 'good.trace: clean'

# Usage.
refused "no trace" "which trace"
refused "an unknown option" "unrecognized option '--bogus'" --bogus "$work/good.trace"
for value in -1 x 1x ''; do
	refused "--max '$value'" "must be a number, or all" --max "$value" "$work/good.trace"
done
refused "--convert to anything else" "must be text, binary or casemate" --convert pdf "$work/x"
refused "--convert of two" "one trace at a time" --convert text "$work/x" "$work/x"
refused "--convert with --json" "judges nothing" --convert text --json "$work/x"
refused "--output alone" "for --convert alone" --output "$work/y" "$work/good.trace"
refused "a trace onto itself" "is the trace itself" --convert text -o "$work/good.trace" \
	"$work/good.trace"
refused "an output that cannot be written" "cannot write '/no/such/x'" --convert text \
	-o /no/such/x "$work/good.trace"
refused "--rules with a trace" "look at no trace" --rules "$work/good.trace"
refused "missing symbols" "/no/such" --symbols /no/such "$work/good.trace"
"$STAGE2" check --convert text "$work/good.trace" >/dev/full 2>"$work/err"
is "exit code where the output is full" $? 2
"$STAGE2" check "$work/broken.trace" >/dev/full 2>"$work/err"
is "exit code where the report cannot be written" $? 2

# Every option that the help names exists, and is in the manual.
run check --help
is "exit code of --help" $code 0
for option in $(grep -oE '^  --[a-z-]+' <<<"$out"); do
	grep -q -- "Fl -${option#--}" "$SOURCE/man/stage2-check.1"
	ok $? "$option is in the manual"
done
finish
