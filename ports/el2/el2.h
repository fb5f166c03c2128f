/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The port for a hypervisor that runs at EL2 and names memory by its physical addresses: hva = hpa,
 * and every address that is handed in is mapped at EL2 one to one.
 *
 * The author of such a hypervisor gives it a pool for tables and the regions that its guest may
 * reach; el2_port_init() fills in the functions of the port.
 */
#ifndef PORTS_EL2_H
#define PORTS_EL2_H

#include <stage2/port.h>

#define EL2_POOL_ORDERS 5 /* roots have up to 16 concatenated tables */

/*
 * Pages for tables: free lists by order, and what was never handed out. Protected by `lock`, which
 * is held for a bounded number of steps; interrupts do not reach EL2, so it cannot be taken twice.
 */
struct el2_pool {
	uint32_t lock;
	uint32_t pad;
	uint64_t fresh; /* [fresh, end) was never used */
	uint64_t end;
	void *free[EL2_POOL_ORDERS];
};

/* Memory that the guest may have: page aligned. */
struct el2_region {
	uint64_t base;
	uint64_t size;
	uint8_t prot; /* enum s2_prot */
	uint8_t type; /* enum s2_memtype */
	uint8_t pad[6];
};

struct el2_port {
	struct s2_port port;
	struct s2_cpu cpu;
	uint64_t vttbr; /* of the tree that this port serves; set it before the first CPU uses it */
	/* At least one; apart, constant. The first is looked at first: that of most faults. */
	const struct el2_region *regions;
	uint32_t nregions;
	uint32_t pad;
	/* If set: asked for what lies in no region; returns what resolve() is to return. */
	int (*overlay)(s2_hva_t hva, enum s2_access access, struct s2_page *page);
	struct el2_pool pool;
};

/*
 * Fills in el2->port. pool is [base, base + size) of normal memory, mapped at EL2, 4K aligned; its
 * contents do not matter. cpu is what the tree is configured with.
 */
void el2_port_init(struct el2_port *el2, const struct s2_cpu *cpu, uint64_t pool, uint64_t size);

/* Pages of the pool that were never handed out, for diagnostics. */
uint64_t el2_pool_left(const struct el2_pool *pool);

#endif
