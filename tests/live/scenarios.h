/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scenarios of tests/live, by file. Each makes its VMs, checks itself and leaves nothing
 * behind.
 */
#ifndef LIVE_SCENARIOS_H
#define LIVE_SCENARIOS_H

/* faults.c: what the fault path maps */
void scenario_pages(void);
void scenario_blocks(void);
void scenario_hugetlb(void);
void scenario_exec(void);
void scenario_stage1(void);
void scenario_device(void);
void scenario_mmio(void);
void scenario_nowhere(void);
void scenario_setway(void);
void scenario_reset(void);

/* host.c: what the host does to the memory below the guest */
void scenario_unmap(void);
void scenario_split(void);
void scenario_protect(void);
void scenario_fork(void);
void scenario_merge(void);
void scenario_swap(void);
void scenario_age(void);
void scenario_compact(void);

/* dirty.c: memslots that log */
void scenario_log(void);
void scenario_log_manual(void);
void scenario_log_all_set(void);
void scenario_log_eager(void);
void scenario_migrate(void);
void scenario_migrate_manual(void);

/* slots.c: memslots that come, go and move; VMs that do */
void scenario_readonly(void);
void scenario_move(void);
void scenario_delete(void);
void scenario_share_cpu(void);
void scenario_vmids(void);
void scenario_rollover(void);

#endif
