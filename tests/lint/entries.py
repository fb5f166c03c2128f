#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Entries change in src/pgtable/pte.h and nowhere else.

Atomic writes are allowed in pte.h (entries), atomic.h (the operations that everything else uses)
and on the counted things listed below; assignments through something that is called an entry or
indexes a table are allowed in pte.h alone. src/format never dereferences a pointer; src/vm does
not read entries either.
"""
import re
import sys

from common import finish, read, walk, without_comments

ATOMIC = r'__atomic_(store|exchange|compare_exchange|fetch|add|sub|or|and)\w*|__sync_\w+'
# Atomic writes outside pte.h and atomic.h: to what, by file.
ALLOWED = {
    'src/pgtable/walker.c': r'&pt->(tables|waiters)\b',
    'src/vm/memslot.c': r'link, slot\b',  # slot_store(): the skip list
    'src/vm/attrs.c': r'\(at, \(uint8_t\)',  # bytes of the slot's owner
    'src/vm/hold.c': r'&vm->holds\b|hold->link\b|&hold->revoked\b',  # the list and a flag
}
WRITES = [
    r'(^|[;{),])\s*\*\s*(at->|pos->|pos\.at\.)?entry\s*(=[^=]|[|&^+-]=)',
    r'(?<![\w>])(table|root|entries)\s*\[[^\]]*\]\s*(=[^=]|[|&^+-]=)',
    r'->root\s*\[[^\]]*\]\s*(=[^=]|[|&^+-]=)',
    r'\bpte_fill\s*\(\s*&pt->root',
]


def check(path):
    text = without_comments(read(path))
    for number, line in enumerate(text.split('\n'), 1):
        where = f'{path}:{number}: '
        if path not in ('src/pgtable/pte.h', 'src/pgtable/atomic.h'):
            if re.search(ATOMIC, line) and not re.search(ALLOWED.get(path, r'$^'), line):
                yield where + 'atomic write outside pte.h and atomic.h'
        if path != 'src/pgtable/pte.h':
            for pattern in WRITES:
                if re.search(pattern, line):
                    yield where + 'entry written outside pte.h'
        if path.startswith('src/format/') and re.search(r'(?<!\bf)->|[=(,]\s*\*\w+\b(?!\))', line):
            yield where + 'a format dereferences a pointer'
        if path.startswith('src/vm/') and re.search(r'\bpte_\w+|s2_table_at|->root\b', line) \
                and path != 'src/vm/arm64.c':
            yield where + 'src/vm touches entries'
        if path != 'src/pgtable/pte.h' and re.search(r'\bs2_hook_(cas|store)\b', line) \
                and path != 'src/pgtable/hook.h':
            yield where + 'hook used outside pte.h'


def main():
    findings = []
    for path in walk('src'):
        findings += check(path)
    finish(findings)


if __name__ == '__main__':
    sys.exit(main())
