# SPDX-License-Identifier: BSD-2-Clause
"""Mutants: their patches, and what one does with them. For tests/mutants/run and tests/live/mutants.

A mutant is a patch in this directory with a head (docs/mutants.md). It is put into a copy of the
tree, and taken out again by copying the files that it changes from the tree itself.
"""
import dataclasses
import os
import re
import shutil
import signal
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


class Trouble(Exception):
    """What is wrong with a mutant or with the tree, so that nothing can be said about the tests."""


@dataclasses.dataclass
class Mutant:
    name: str
    path: str
    bug: str
    mechanism: str
    tests: list
    rules: list
    files: list


def parse(path):
    name = os.path.basename(path)[:-len('.patch')]
    with open(path, encoding='utf-8') as file:
        text = file.read()
    head = {'Bug': [], 'Mechanism': [], 'Test': [], 'Rule': []}
    for line in text.split('\n--- ', 1)[0].splitlines():
        key, colon, value = line.partition(': ')
        if colon and key in head:
            head[key].append(value.strip())
    for key, values in head.items():
        if not values or (len(values) > 1 and key != 'Rule'):
            raise Trouble(f'{name}: needs one line `{key}: ...`')
    tests = [test.strip() for test in head['Test'][0].split(',')]
    return Mutant(name, path, head['Bug'][0], head['Mechanism'][0], tests, head['Rule'],
                  re.findall(r'^\+\+\+ b/(\S+)', text, re.M))


def known_rules():
    with open(os.path.join(ROOT, 'check/rules.c'), encoding='utf-8') as file:
        return set(re.findall(r'^\t\{ "([a-z0-9-]+)",', file.read(), re.M))


def reason_patterns(mutant, known):
    """Rule: a rule's id, as a violation is reported; or kind "text", which must appear."""
    for rule in mutant.rules:
        quoted = re.fullmatch(r'(sim|assert|tsan) "(.+)"', rule)
        if quoted:
            yield rule, re.compile(re.escape(quoted[2]))
        elif rule in known:
            yield rule, re.compile(r'(^|[\s(])' + re.escape(rule) + r'(: |$)', re.M)
        else:
            raise Trouble(f'{mutant.name}: no rule {rule} in check/rules.c')


def all_mutants():
    return [parse(os.path.join(HERE, name)) for name in sorted(os.listdir(HERE))
            if name.endswith('.patch')]


def run(command, cwd=None, env=None, seconds=None):
    """Status (None: out of time) and output. What the command started dies with it."""
    with subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          start_new_session=True) as child:
        try:
            out = child.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out = child.communicate()[0]
            return None, out.decode(errors='replace')
    return child.returncode, out.decode(errors='replace')


def copy_tree(directory):
    shutil.copytree(ROOT, directory, symlinks=True, ignore=lambda where, names: [
        name for name in names if where == ROOT and re.match(r'(\.git|build.*)$', name)])


def apply(mutant, tree):
    status, out = run(['patch', '-p1', '-s', '-F1', '-d', tree, '-i', mutant.path,
                       '--no-backup-if-mismatch', '-r', '-'])
    if status:
        raise Trouble('does not apply, make it anew: ' + ' '.join(out.split()))


def put_back(mutant, tree):
    for name in mutant.files:
        # The copy gets the time of now, so that ninja builds again what depends on it.
        shutil.copyfile(os.path.join(ROOT, name), os.path.join(tree, name))


def ninja(build, targets, jobs):
    status, out = run(['ninja', '-C', build, '-j', str(jobs), *targets])
    if status:
        errors = [line for line in out.splitlines() if ' error: ' in line]
        raise Trouble('does not compile: ' + '\n'.join(errors[:5]))
