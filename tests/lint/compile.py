#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The core compiles freestanding, without a warning, and needs nothing from outside.

compile.py COMPILER [TARGET]: one of gcc, clang, or a cross compiler; TARGET is clang's --target.
Undefined symbols may only be those that compilers emit calls to by themselves.
"""
import os
import shutil
import sys
import tempfile

from common import AARCH64_FLAGS, CORE_FLAGS, core_sources, finish, need, run

ALLOWED = {'memset', 'memcpy', 'memmove', 'memcmp'}


def flags_for(compiler, target):
    flags = list(CORE_FLAGS)
    if target:
        flags.append('--target=' + target)
    if 'aarch64' in compiler + target:
        flags += AARCH64_FLAGS
    return flags


def symbols(nm, objects, kind):
    result = run([nm, '--' + kind + '-only', '-P'] + objects)
    return {line.split()[0] for line in result.stdout.splitlines() if len(line.split()) > 1}


def check(compiler, target):
    nm = next((tool for tool in ('llvm-nm', 'llvm-nm-14', 'nm') if shutil.which(tool)), 'nm')
    objects = []
    with tempfile.TemporaryDirectory() as out:
        for source in core_sources():
            target_file = os.path.join(out, source.replace('/', '_') + '.o')
            result = run([compiler] + flags_for(compiler, target) +
                         ['-c', source, '-o', target_file])
            if result.returncode:
                yield f'{source}: {result.stderr.strip()}'
            else:
                objects.append(target_file)
        missing = symbols(nm, objects, 'undefined') - symbols(nm, objects, 'defined') - ALLOWED
        if not symbols(nm, objects, 'defined'):
            yield f'{nm} finds no symbol at all'
        for symbol in sorted(missing):
            yield f'undefined symbol {symbol} ({compiler} {target})'


def main():
    compiler = need(sys.argv[1])
    finish(list(check(compiler, sys.argv[2] if len(sys.argv) > 2 else '')))


if __name__ == '__main__':
    sys.exit(main())
