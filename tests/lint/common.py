# SPDX-License-Identifier: BSD-2-Clause
"""What the lints share: where the sources are, and how a finding is reported."""
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

CORE_FLAGS = ['-std=c11', '-O2', '-ffreestanding', '-Wall', '-Wextra', '-Werror', '-Wconversion',
              '-Wstrict-prototypes', '-Wmissing-prototypes', '-fno-common', '-I', 'include']
AARCH64_FLAGS = ['-march=armv8-a', '-mno-outline-atomics', '-mgeneral-regs-only',
                 '-mstrict-align']


def read(path):
    with open(os.path.join(ROOT, path), encoding='utf-8', errors='replace') as file:
        return file.read()


def walk(*tops, suffixes=('.c', '.h')):
    """Paths below the given directories, relative to the root, sorted."""
    for top in tops:
        for folder, folders, files in os.walk(os.path.join(ROOT, top)):
            folders.sort()
            for name in sorted(files):
                if name.endswith(suffixes):
                    yield os.path.relpath(os.path.join(folder, name), ROOT)


def core_sources():
    return [path for path in walk('src') if path.endswith('.c')]


def without_comments(text):
    """The same text with comments and strings blanked; lines keep their numbers."""
    def blank(match):
        return re.sub(r'[^\n]', ' ', match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)


def run(command, **kwargs):
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False, **kwargs)


def need(program):
    """A check that cannot run has failed: scripts/setup installs what is needed."""
    if not shutil.which(program):
        sys.exit(f'{program} is not installed: run scripts/setup test')
    return program


def finish(findings):
    for finding in findings:
        print(finding)
    sys.exit(1 if findings else 0)
