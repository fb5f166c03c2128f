# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Sourced by the tests of the command: TAP, and what they all need. $out and $err hold what the
# last `run` printed, $code its exit code. Runs have no terminal and no input.

set -u
: "${STAGE2:?}" "${JSON_GET:?}" "${PTY:?}" "${SOURCE:?}"

tests=0
failures=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

run() {
	"$STAGE2" "$@" >"$work/out" 2>"$work/err" </dev/null
	code=$?
	out=$(cat "$work/out")
	err=$(cat "$work/err")
}

# ok STATUS NAME
ok() {
	tests=$((tests + 1))
	if [ "$1" = 0 ]; then
		echo "ok $tests - $2"
	else
		failures=$((failures + 1))
		echo "not ok $tests - $2"
		{
			echo "exit code ${code-none}"
			tail -n 20 "$work/out" "$work/err" 2>/dev/null
		} | sed 's/^/# /'
	fi
}

# is NAME VALUE EXPECTED
is() {
	[ "$2" = "$3" ]
	ok $? "$1 is $3 (got: $2)"
}

# at_most NAME VALUE LIMIT
at_most() {
	[ -n "$2" ] && [ "$2" -le "$3" ]
	ok $? "$1 is at most $3 (got: $2)"
}

# at_least NAME VALUE LIMIT
at_least() {
	[ -n "$2" ] && [ "$2" -ge "$3" ]
	ok $? "$1 is at least $3 (got: $2)"
}

# says NAME TEXT PATTERN
says() {
	grep -qE -- "$3" <<<"$2"
	ok $? "$1"
}

# A value of the last run's JSON: json KEY[.KEY]...
json() {
	"$JSON_GET" "$work/out" "$1"
}

finish() {
	echo "1..$tests"
	exit "$((failures > 0))"
}
