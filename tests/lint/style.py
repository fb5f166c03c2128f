#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""House rules that a machine can check: licence line, nothing left to do, sizes, no bool parameter.

Every file of the repository has an SPDX line near its top. C files open with a comment that gives
their theory, have 600 lines at most, and functions of 60.
"""
import os
import re
import sys

from common import ROOT, finish, read, run, walk, without_comments

NO_SPDX = re.compile(r'(^|/)LICENSE$|\.gitignore$|\.(png|svg|bin|gz|cpio|dtb|json|jsonl)$')
# In two pieces, so that this file does not find itself.
UNFINISHED = re.compile(r'\b(TO' r'DO|FIX' r'ME|XX' r'X|HA' r'CK)\b')
MAX_FILE, MAX_FUNCTION = 600, 60


def files():
    """What is or would be tracked; without git, all that is not hidden or built."""
    result = run(['git', 'ls-files', '--cached', '--others', '--exclude-standard'])
    if result.returncode == 0:
        return sorted(path for path in result.stdout.splitlines()
                      if os.path.isfile(os.path.join(ROOT, path)))
    return sorted(path for path in walk('.', suffixes='') if not path.startswith('build/'))


def check_text(path, text):
    if not NO_SPDX.search(path):
        if 'SPDX-License-Identifier: BSD-2-Clause' not in '\n'.join(text.split('\n')[:5]):
            yield f'{path}: no SPDX line'
    for number, line in enumerate(text.split('\n'), 1):
        if UNFINISHED.search(line):
            yield f'{path}:{number}: left to do: {line.strip()}'


def check_functions(path, text):
    lines = without_comments(text).split('\n')
    start = None
    for number, line in enumerate(lines, 1):
        if line == '{':
            start = number
        elif line == '}' and start is not None:
            if number - start - 1 > MAX_FUNCTION:
                yield f'{path}:{start}: a function of {number - start - 1} lines'
            start = None
        if re.search(r'\(([^()]*,)?\s*(bool|_Bool)\s+\w+\s*[,)]', line):
            yield f'{path}:{number}: bool parameter'


def check_c(path, text):
    lines = text.rstrip('\n').split('\n')
    if len(lines) > MAX_FILE:
        yield f'{path}: {len(lines)} lines'
    if len(lines) > 1 and not lines[1].startswith(('/*', '//', ' *')):
        yield f'{path}: does not open with its theory'
    yield from check_functions(path, text)


def main():
    findings = []
    for path in files():
        text = read(path)
        findings += check_text(path, text)
        if path.endswith(('.c', '.h')):
            findings += check_c(path, text)
    finish(findings)


if __name__ == '__main__':
    sys.exit(main())
