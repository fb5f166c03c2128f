/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine for Arm stage 2 with 4K pages: blocks of 2M (level 1) and 1G (level 2). */
#include "engine_ops.h"
#include "../format/arm64.h"

S2_FMT_ARM64(arm64_4k, 12, 0x7);
S2_PT_OPS(s2_pt_arm64_4k, arm64_4k);
