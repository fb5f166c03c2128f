#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the command says to bad input and to calls for help. Nothing here boots.

. "$(dirname "$0")/tap.sh"

# refused NAME PATTERN OPTION...: exit code 2, nothing on stdout, stderr says PATTERN, at once.
refused() {
	local name=$1 pattern=$2
	shift 2
	SECONDS=0
	run run "$@"
	[ $code = 2 ] && [ -z "$out" ] && grep -qE -- "$pattern" <<<"$err" && [ $SECONDS -lt 10 ]
	ok $? "$name is refused"
}

# A file that looks like a kernel: magic at 56, image size at 16.
fake_image() {
	head -c 64 /dev/zero >"$1"
	printf '%b' "$2" | dd of="$1" bs=1 seek="$3" conv=notrunc status=none
	printf 'ARM\x64' | dd of="$1" bs=1 seek=56 conv=notrunc status=none
}

fake_image "$work/Image" '\x00\x00\x00\x01' 16
fake_image "$work/huge" '\x00\x00\x00\x10' 16
fake_image "$work/offset" '\x00\x00\x08' 8
fake_image "$work/big-endian" '\x01' 24
echo "no kernel" >"$work/text"
: >"$work/empty"
gzip -c "$work/Image" >"$work/Image.gz"
export STAGE2_HYP=$work/Image
guest=(--kernel "$work/Image" --initrd none)

refused "a missing kernel" "kernel '/no/such/kernel': No such file" --kernel /no/such/kernel
refused "a file that is no kernel" "is no arm64 Image" --kernel "$work/text"
refused "an empty file as kernel" "is no arm64 Image" --kernel "$work/empty"
refused "a kernel that is no file" "is no regular file" --kernel /dev/null
refused "a directory as kernel" "is no regular file" --kernel "$work"
refused "a compressed kernel" "gunzip it" --kernel "$work/Image.gz"
refused "a kernel with an offset" "only 0 is supported" --kernel "$work/offset"
refused "a big-endian kernel" "big-endian" --kernel "$work/big-endian"
refused "a kernel of 256 MiB" "too large" --kernel "$work/huge" --initrd none
refused "a missing initramfs" "initramfs '/no/such': No such file" --kernel "$work/Image" \
	--initrd /no/such
refused "too little memory" "--mem 32 is too little.*give it [0-9]+ at least" "${guest[@]}" --mem 32
refused "a missing hypervisor" "hypervisor '/no/such'" --hyp /no/such
refused "a hypervisor that is none" "is no arm64 Image" --hyp "$work/text"
refused "a missing QEMU" "no '/no/such/qemu' here.*scripts/setup" "${guest[@]}" --qemu /no/such/qemu
refused "a QEMU that is no program" "cannot start" "${guest[@]}" --qemu "$work/text"
refused "an unknown CPU" "known to work: .*cortex-a72" "${guest[@]}" --cpu z80
refused "an unknown property of a CPU" "QEMU says of --cpu max,foo" "${guest[@]}" --cpu max,foo=on
refused "an unknown option" "unrecognized option '--bogus'" --bogus
refused "a word that is no option" "'word' is no option" word
refused "an option without its value" "requires an argument" --mem
for bad in 0 -1 9 two 1x ''; do
	refused "--smp '$bad'" "must be a number from 1 to 8" --smp "$bad"
done
for bad in 0 -512 4T 512MB x 999999999999999999999 ''; do
	refused "--mem '$bad'" "must be a size" --mem "$bad"
done
refused "--gic 4" "from 2 to 3" --gic 4
refused "--pages 2m" "must be 4k or block" --pages 2m
for bad in 0 101 -1 x 5x ''; do
	refused "--reclaim='$bad'" "--reclaim $bad: must be a number from 1 to 100" --reclaim="$bad"
done
refused "--reclaim with a word behind it" "'50' is no option" --reclaim 50
refused "--merge=yes" "doesn't allow an argument" --merge=yes
refused "--plain with --reclaim" "nobody is there to --reclaim" --plain --reclaim
refused "--plain with --merge" "nobody is there to --reclaim or --merge" --plain --merge
head -c 8M /dev/zero >"$work/initrd"
refused "too little memory for --reclaim" "--mem 160 is too little.*give it [0-9]+ at least" \
	--kernel "$work/Image" --initrd "$work/initrd" --reclaim=100 --mem 160
refused "--timeout soon" "must be a number" --timeout soon
refused "--interactive with --json" "--interactive and --json" --interactive --json
refused "--interactive with --icount" "--interactive and --icount" --interactive --icount
refused "--plain with --pages 4k" "mean nothing" --plain --pages 4k
refused "a report that cannot be written" "cannot write '/no/such/dir/x.json'" "${guest[@]}" \
	--report /no/such/dir/x
refused "a console file that cannot be written" "cannot write '/no/such/dir/x'" "${guest[@]}" \
	--console /no/such/dir/x
STAGE2_CACHE=/no/such refused "an empty cache" "scripts/fetch-guest"

cp "$STAGE2" "$work/stage2"
STAGE2_HYP='' "$work/stage2" run >"$work/out" 2>"$work/err"
code=$?
err=$(cat "$work/err")
is "exit code without anything built" $code 2
says "it says what to do" "$err" 'say .make.'

run
is "exit code without a command" $code 2
says "without a command it teaches" "$out" "stage2 run --help"
run bogus
is "exit code of an unknown command" $code 2
says "it names it" "$err" "'bogus'"
run --version
is "exit code of --version" $code 0
says "the version is a number" "$out" '^stage2 [0-9]+\.[0-9]+'
for words in --help -h help "run --help" "run -h" "help run"; do
	# shellcheck disable=SC2086 # words
	run $words
	is "exit code of '$words'" $code 0
	says "'$words' shows the usage" "$out" "^Usage: stage2"
done

# Every option that the help names exists, and is in the manual.
run run --help
for option in $(grep -oE '^  --[a-z]+' <<<"$out"); do
	grep -q -- "Fl -${option#--}" "$SOURCE/man/stage2-run.1"
	ok $? "$option is in the manual"
done
finish
