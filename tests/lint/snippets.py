#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The C in README.md and docs/*.md compiles.

A fenced block marked ```c is taken as it stands at file scope or, if that does not compile, as
the body of a function; all public headers are included, and blocks of one document may use what
its earlier ones declared at file scope.

snippets.py CC
"""
import re
import sys

from common import finish, need, read, run, walk

FLAGS = ['-x', 'c', '-std=c11', '-fsyntax-only', '-Wall', '-Wextra', '-Werror', '-Wno-unused',
         '-Wno-missing-prototypes', '-Wno-missing-declarations', '-I', 'include', '-']


def prelude():
    headers = [path[len('include/'):] for path in walk('include', suffixes='.h')]
    return ''.join(f'#include <{header}>\n' for header in headers)


def compile_text(compiler, code):
    return run([compiler] + FLAGS, input=code)


def check(compiler, path):
    before = prelude()
    for match in re.finditer(r'^```c\n(.*?)^```', read(path), flags=re.S | re.M):
        line = read(path)[:match.start()].count('\n') + 2
        place = f'#line {line} "{path}"\n'
        code = match.group(1)
        first = compile_text(compiler, before + place + code)
        if not first.returncode:
            before += place + code
            continue
        body = f'{before}\nint snippet_{line}(void);\nint snippet_{line}(void)\n{{\n{place}{code}' \
               '\nreturn 0;\n}\n'
        second = compile_text(compiler, body)
        if second.returncode:
            errors = first if code.rstrip().endswith('}') else second
            yield errors.stderr.strip()


def main():
    compiler = need(sys.argv[1])
    findings = []
    for path in ['README.md'] + list(walk('docs', suffixes='.md')):
        findings += check(compiler, path)
    finish(findings)


if __name__ == '__main__':
    sys.exit(main())
