#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""No indirect call an entry: where the machine code of the engine calls through a pointer.

Compiles the core (jump tables and tail calls off, so that every indirect branch is a call) and
disassembles it. Each function that may call indirectly is listed, with the reason; in the format's
instance of the engine that is cache maintenance alone, which is the port's work on memory, not on
entries.

indirect.py COMPILER OBJDUMP
"""
import os
import re
import sys
import tempfile

from common import AARCH64_FLAGS, CORE_FLAGS, core_sources, finish, need, run

PORT = 'a function of the port'
OPS = 'the one call that chooses the format'
ALLOWED = {
    'src/pgtable/arm64_4k.c': {
        # cache_sync, where caches are not coherent; a permission fault's local invalidation
        's2_pt_arm64_4k_map': PORT, 's2_pt_arm64_4k_map_step': PORT,
        's2_pt_arm64_4k_map_near': PORT, 's2_pt_arm64_4k_near_relax': PORT,
        's2_pt_arm64_4k_relax': PORT, 'map_sync': PORT, 'do_sync': PORT,
    },
    'src/pgtable/gather.c': {
        'issue': PORT, 'issue_split': PORT, 'pay': PORT, 'flush': PORT + ', and ' + OPS,
        'retire': OPS, 's2_gather_flush': PORT, 's2_gather_now': PORT, 's2_tlb_all': PORT,
    },
    'src/pgtable/pgtable.c': {
        's2_pt_init': PORT, 's2_pt_init_ops': PORT + ', and ' + OPS,
        's2_pt_fini': PORT + ', and ' + OPS, 's2_pt_wait': PORT,
        's2_pt_map': OPS, 's2_pt_unmap': OPS, 's2_pt_protect': OPS, 's2_pt_relax': OPS,
        's2_pt_age': OPS, 's2_pt_young': OPS, 's2_pt_split': OPS, 's2_pt_lookup': OPS, 's2_pt_next': OPS,
        's2_pt_audit': OPS,
    },
    'src/pgtable/walker.c': {
        's2_walker_init': PORT, 's2_walker_fini': PORT, 's2_walker_fill': PORT,
        's2_pt_stats': PORT, 's2_synchronize': PORT, 's2_table_alloc': PORT,
        's2_table_free': PORT, 's2_lock': PORT, 's2_lock_shared': PORT,
        'sections_left': PORT, 's2_enter_wait': PORT, 's2_exclusive_begin': PORT,
        's2_exclusive_yield': PORT, 's2_limbo_free': OPS, 'drain': OPS,
    },
    'src/vm/invalidate.c': {
        's2_vm_invalidate_begin': OPS, 'piece_take': OPS, 'change_take': OPS,
        's2_vm_host_begin': PORT + ', and ' + OPS, 's2_vm_host_end': PORT, 's2_lock': PORT,
        's2_lock_shared': PORT, 'change_link': PORT, 'change_unlink': PORT,
    },
    'src/vm/hold.c': {
        'learn': PORT, 's2_hold_init': PORT, 's2_hold_fini': PORT, 's2_hold_use': PORT,
        's2_holds_wait': PORT + ', and revoke()', 'resolve': PORT, 's2_lock': PORT,
        'holds_revoke': PORT + ', and revoke()', 's2_lock_shared': PORT,
    },
    'src/vm/vmid.c': {'s2_vmid_load': PORT, 'load_locked': PORT, 'begin_generation': PORT,
                      'renew': PORT, 's2_lock': PORT},
    'src/vm/vm.c': {'s2_trace_tell': PORT},
    'src/vm/attrs.c': {'s2_vm_set_attrs': PORT, 's2_lock': PORT},
    'src/vm/fault.c': {
        'fault_in': PORT + ', and ' + OPS, 'insert_slow': OPS,
        'fault_in_closer': PORT + ', and ' + OPS,
        's2_fault': PORT + ', and ' + OPS, 's2_vm_prefault': PORT + ', and ' + OPS,
        'make_young': OPS,
    },
    'src/vm/memslot.c': {
        's2_vm_slot_add': PORT, 's2_vm_slot_del': PORT, 's2_vm_slot_change': PORT,
        's2_vm_slot_find': PORT, 's2_lock': PORT,
    },
}
INDIRECT = re.compile(r'\b(call|jmp)q?\s+\*|\b(blr|blraaz?|blrabz?|br)\s+x')
EXTRA = ['-fno-jump-tables', '-fno-optimize-sibling-calls', '-g0']


def check_source(compiler, objdump, source, out):
    target = os.path.join(out, 'object.o')
    flags = list(CORE_FLAGS) + EXTRA
    if 'aarch64' in compiler:
        flags += AARCH64_FLAGS
    result = run([compiler] + flags + ['-c', source, '-o', target])
    if result.returncode:
        yield f'{source}: {result.stderr.strip()}'
        return
    function, calls = '', 0
    for line in run([objdump, '-d', '--no-show-raw-insn', target]).stdout.splitlines():
        label = re.match(r'[0-9a-f]+ <([^>]+)>:', line)
        if label:
            # Clones of a function carry its name and a suffix.
            function = label.group(1).split('.')[0]
        elif INDIRECT.search(line):
            calls += 1
            if function not in ALLOWED.get(source, {}):
                yield f'{source}: {function}() calls indirectly: {line.strip()}'
    if source in ALLOWED and not calls:
        yield f'{source}: no indirect call found at all: does this test still work?'


def main():
    compiler, objdump = need(sys.argv[1]), need(sys.argv[2])
    findings = []
    with tempfile.TemporaryDirectory() as out:
        for source in core_sources():
            findings += check_source(compiler, objdump, source, out)
    finish(findings)


if __name__ == '__main__':
    sys.exit(main())
