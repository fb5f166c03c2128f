/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices, and the upkeep of tables whose walker does not see the CPU's caches. Ours does, so none
 * of that upkeep is ever reached.
 */
#ifndef BENCH_LINUX_DMA_MAPPING_H
#define BENCH_LINUX_DMA_MAPPING_H

#include <linux/bug.h>
#include <linux/types.h>

struct device {
	int numa_node;
};

#define dev_to_node(dev) ((dev)->numa_node)

enum dma_data_direction {
	DMA_TO_DEVICE = 1,
};

static inline dma_addr_t dma_map_single(struct device *dev, void *address, size_t size,
					enum dma_data_direction direction)
{
	(void)dev;
	(void)address;
	(void)size;
	(void)direction;
	BUG();
}

static inline int dma_mapping_error(struct device *dev, dma_addr_t address)
{
	(void)dev;
	(void)address;
	BUG();
}

static inline void dma_sync_single_for_device(struct device *dev, dma_addr_t address, size_t size,
					      enum dma_data_direction direction)
{
	(void)dev;
	(void)address;
	(void)size;
	(void)direction;
	BUG();
}

#define dma_unmap_single dma_sync_single_for_device

#define dev_err(dev, ...) BUG()

#endif
