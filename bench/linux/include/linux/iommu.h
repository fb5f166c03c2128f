/* SPDX-License-Identifier: BSD-2-Clause */
/* What a driver of an IOMMU says about a mapping, and where it collects invalidations. */
#ifndef BENCH_LINUX_IOMMU_H
#define BENCH_LINUX_IOMMU_H

#include <linux/types.h>

#define IOMMU_READ   (1 << 0)
#define IOMMU_WRITE  (1 << 1)
#define IOMMU_CACHE  (1 << 2)
#define IOMMU_NOEXEC (1 << 3)
#define IOMMU_MMIO   (1 << 4)
#define IOMMU_PRIV   (1 << 5)

struct iommu_iotlb_gather {
	bool queued; /* one invalidation of everything will come, much later */
};

static inline bool iommu_iotlb_gather_queued(struct iommu_iotlb_gather *gather)
{
	return gather && gather->queued;
}

#endif
