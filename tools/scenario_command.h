/* SPDX-License-Identifier: BSD-2-Clause */
/* `stage2 scenario`: see scenario.c. */
#ifndef STAGE2_SCENARIO_COMMAND_H
#define STAGE2_SCENARIO_COMMAND_H

int scenario_main(int argc, char **argv);

#endif
