#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Includes point down only (docs/design.md, "Layout"), and each file's are listed here as rules.

A rule: files below a directory may include, in angle brackets, names that match the first
pattern, and in quotes, paths (from the root) that match the second.
"""
import os
import re
import sys

from common import finish, read, walk

PUBLIC = r'stage2/(types|port|pgtable|vm|hold|vmid|dirty|ownership|arm64|x86|riscv)\.h'
RULES = [
    ('include/stage2/', rf'{PUBLIC}|stddef\.h|stdint\.h', r'$^'),
    ('src/format/', r'stage2/types\.h', r'src/format/.*'),
    ('src/pgtable/', r'stage2/(types|port|pgtable)\.h|stddef\.h|stdint\.h',
     r'src/(format|pgtable)/.*'),
    # src/vm never sees a descriptor bit: the steps that the engine offers, not the engine itself.
    ('src/vm/', r'stage2/(types|port|pgtable|vm|hold|vmid|arm64)\.h|stddef\.h|stdint\.h',
     r'src/vm/.*|src/pgtable/(internal|gather|walker|atomic)\.h'),
    ('src/ownership/', r'stage2/.*|stddef\.h|stdint\.h', r'src/(ownership|vm)/.*'),
    # The judges share no code with what they judge: only the hook, which is an interface.
    ('check/', r'(?!stage2/(pgtable|vm)).*', r'check/.*'),
    ('ports/sim/', r'.*', r'ports/sim/.*|src/pgtable/hook\.h|check/(stage2check|format)\.h'),
    ('ports/', r'.*', r'ports/.*'),
]
# A public header of a lower layer knows nothing of a higher one.
ORDER = ['types.h', 'port.h', 'pgtable.h', 'vm.h']


def included(path, text):
    for number, line in enumerate(text.split('\n'), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not match:
            continue
        name = match.group(2)
        if match.group(1) == '"':
            name = os.path.normpath(os.path.join(os.path.dirname(path), name))
        yield number, match.group(1) == '<', name


def check(path):
    rule = next((r for r in RULES if path.startswith(r[0])), None)
    if not rule:
        return
    for number, system, name in included(path, read(path)):
        if not re.fullmatch(rule[1] if system else rule[2], name):
            yield f'{path}:{number}: must not include {name}'
        base = os.path.basename(path)
        if path.startswith('include/') and base in ORDER and os.path.basename(name) in ORDER:
            if ORDER.index(os.path.basename(name)) >= ORDER.index(base):
                yield f'{path}:{number}: points up to {name}'


def main():
    findings = []
    for path in walk('include', 'src', 'check', 'ports'):
        findings += check(path)
    finish(findings)


if __name__ == '__main__':
    sys.exit(main())
