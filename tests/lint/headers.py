#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Each public header compiles alone, as C11 and as C++17.

headers.py CC CXX
"""
import sys

from common import finish, need, run, walk

STRICT = ['-fsyntax-only', '-Wall', '-Wextra', '-Wpedantic', '-Werror', '-I', 'include']


def check(compiler, language, standard, header):
    code = f'#include <{header}>\n#include <{header}>\nint unused_{language.strip("+")};\n'
    result = run([compiler, '-x', language, '-std=' + standard] + STRICT + ['-'], input=code)
    if result.returncode:
        yield f'{header} as {standard}: {result.stderr.strip()}'


def main():
    cc, cxx = need(sys.argv[1]), need(sys.argv[2])
    findings = []
    for path in walk('include', suffixes='.h'):
        header = path[len('include/'):]
        findings += check(cc, 'c', 'c11', header)
        findings += check(cxx, 'c++', 'c++17', header)
    finish(findings)


if __name__ == '__main__':
    sys.exit(main())
