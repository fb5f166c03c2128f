#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The scripts that need no network and no root: reading apt's sources, packing the initramfs, and
# that setup has nothing to do where the tests run.

. "$(dirname "$0")/tap.sh"
scripts=$SOURCE/scripts

# Both formats; strangers' keys, other releases, sources, disabled entries and CDs are left out.
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
mkdir -p "$work/apt/sources.list.d"
cat >"$work/apt/sources.list" <<EOT
# deb http://comment.invalid/debian $codename main
deb cdrom:[Debian GNU/Linux]/ $codename main
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://a.invalid/debian/ $codename main contrib
deb http://a.invalid/debian $codename main
deb http://b.invalid/debian-security $codename-security main
deb http://c.invalid/debian $codename contrib
deb http://d.invalid/debian nosuch main
deb-src http://e.invalid/debian $codename main
deb [signed-by=/usr/share/keyrings/other.gpg] http://f.invalid/debian $codename main
EOT
cat >"$work/apt/sources.list.d/one.sources" <<EOT
Types: deb deb-src
URIs: http://g.invalid/debian
Suites: $codename
Components: main
Enabled: no

# A comment
types: deb deb-src
URIs: http://h.invalid/debian http://i.invalid/debian
Suites: $codename
 $codename-updates
Components: contrib main
EOT
printf 'Types: deb\nURIs: http://j.invalid/debian\nSuites: %s\nComponents: main\nSigned-By:%s' \
	"$codename" $'\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n' >"$work/apt/sources.list.d/two.sources"
is "Debian's entries of apt's sources" "$("$scripts/apt-sources" "$work/apt" | tr '\n' ';')" \
"http://a.invalid/debian $codename;http://b.invalid/debian-security $codename-security;\
http://h.invalid/debian $codename;http://h.invalid/debian $codename-updates;\
http://i.invalid/debian $codename;http://i.invalid/debian $codename-updates;"
is "no sources give no entries" "$("$scripts/apt-sources" "$work/nothing")" ""

# The same input gives the same bytes, later and with other rights.
cp "$SOURCE/tests/workload/init" "$work/init"
"$scripts/make-initramfs" /bin/true "$work/init" "$work/one.cpio"
ok $? "an initramfs is packed"
sleep 1
touch "$work/init"
chmod 600 "$work/init"
(umask 077 && "$scripts/make-initramfs" /bin/true "$work/init" "$work/two.cpio")
cmp "$work/one.cpio" "$work/two.cpio"
ok $? "packing is reproducible"
is "files in it" "$(cpio --quiet -t <"$work/one.cpio" | tr '\n' ' ')" \
	". bin bin/busybox bin/sh dev init proc sys tmp "

# A complete cache needs no network; an incomplete one is not taken for complete.
mkdir -p "$work/cache/arm64/libfdt/include"
for file in Image busybox libfdt/libfdt.a libfdt/include/libfdt.h packages; do
	echo x >"$work/cache/arm64/$file"
done
is "a complete cache is taken" "$(STAGE2_CACHE=$work/cache "$scripts/fetch-guest" 2>&1)" \
	"$work/cache/arm64"

"$scripts/setup" bogus 2>/dev/null
is "exit code of setup for an unknown purpose" $? 2
out=$("$scripts/setup" run 2>&1)
is "setup has nothing to say" "$out" ""

# Where something is missing: stubs stand for the package manager and for who we are.
mkdir "$work/bin"
printf '#!/bin/sh\n/usr/bin/dpkg-query "$@" | grep -v " cpio$"\n' >"$work/bin/dpkg-query"
printf '#!/bin/sh\necho 1000\n' >"$work/bin/id"
printf '#!/bin/sh\nexit 1\n' >"$work/bin/sudo"
printf '#!/bin/sh\necho "$@" >>"%s/apt-get"\n' "$work" >"$work/bin/apt-get"
chmod +x "$work"/bin/*
out=$(PATH=$work/bin:$PATH "$scripts/setup" run 2>&1)
is "exit code of setup without rights" $? 2
says "it prints the line to type" "$out" \
	'^    sudo apt-get update && sudo apt-get install -y --no-install-recommends cpio *$'
[ ! -e "$work/apt-get" ]
ok $? "it does not run apt-get"
printf '#!/bin/sh\necho 0\n' >"$work/bin/id"
PATH=$work/bin:$PATH "$scripts/setup" run >/dev/null
is "exit code of setup as root" $? 0
says "it installs what is missing" "$(cat "$work/apt-get")" 'install .* cpio$'
finish
