// SPDX-License-Identifier: BSD-2-Clause
/*
 * The command line of `stage2 run`: a table for getopt_long, a switch, and the help. What can be
 * judged without looking at a file is judged here.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

#define DEFAULT_CPU     "max,pauth-impdef=on"
#define DEFAULT_RECLAIM "50"

enum option_key {
	OPT_CPU = 0x100,
	OPT_SMP,
	OPT_MEM,
	OPT_GIC,
	OPT_KERNEL,
	OPT_INITRD,
	OPT_APPEND,
	OPT_PAGES,
	OPT_RECLAIM,
	OPT_REPORT,
	OPT_CONSOLE,
	OPT_TRACE,
	OPT_TIMEOUT,
	OPT_STALL,
	OPT_HYP,
	OPT_QEMU,
	OPT_HELP,
	/* Those without a value: the key is OPT_FLAG plus enum run_flag. */
	OPT_FLAG = 0x10000,
};

static const struct option long_options[] = {
	{ "cpu", required_argument, NULL, OPT_CPU },
	{ "smp", required_argument, NULL, OPT_SMP },
	{ "mem", required_argument, NULL, OPT_MEM },
	{ "gic", required_argument, NULL, OPT_GIC },
	{ "kernel", required_argument, NULL, OPT_KERNEL },
	{ "initrd", required_argument, NULL, OPT_INITRD },
	{ "append", required_argument, NULL, OPT_APPEND },
	{ "pages", required_argument, NULL, OPT_PAGES },
	{ "reclaim", optional_argument, NULL, OPT_RECLAIM },
	{ "report", required_argument, NULL, OPT_REPORT },
	{ "console", required_argument, NULL, OPT_CONSOLE },
	{ "trace", required_argument, NULL, OPT_TRACE },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "stall", required_argument, NULL, OPT_STALL },
	{ "hyp", required_argument, NULL, OPT_HYP },
	{ "qemu", required_argument, NULL, OPT_QEMU },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "interactive", no_argument, NULL, OPT_FLAG + RUN_INTERACTIVE },
	{ "json", no_argument, NULL, OPT_FLAG + RUN_JSON },
	{ "icount", no_argument, NULL, OPT_FLAG + RUN_ICOUNT },
	{ "merge", no_argument, NULL, OPT_FLAG + RUN_MERGE },
	{ "plain", no_argument, NULL, OPT_FLAG + RUN_PLAIN },
	{ "test", no_argument, NULL, OPT_FLAG + RUN_TEST },
	{ "verbose", no_argument, NULL, OPT_FLAG + RUN_VERBOSE },
	{ "quiet", no_argument, NULL, OPT_FLAG + RUN_QUIET },
	{ NULL, 0, NULL, 0 },
};

static const char help_text[] =
	"Usage: stage2 run [OPTION]...\n"
	"Boots an unmodified arm64 kernel as a guest of the reference hypervisor, in QEMU. Every\n"
	"page of the guest's memory is mapped when it is first touched; at the end a report says\n"
	"what happened. Without options: Debian's kernel, a small workload, 512 MiB, one CPU.\n"
	"\n"
	"The guest\n"
	"  --kernel FILE      arm64 Image to boot (default: Debian's, from the cache)\n"
	"  --initrd FILE      its initramfs (default: busybox and the workload; 'none' for none)\n"
	"  --append TEXT      more words for its command line\n"
	"  --interactive      a shell on this terminal; `poweroff` or Ctrl-A x leaves\n"
	"\n"
	"The machine\n"
	"  --mem SIZE         its memory, hypervisor's included: 512, 512M, 2G (default: 512M)\n"
	"  --smp N            CPUs, 1 to 8 (default: 1)\n"
	"  --cpu MODEL        as QEMU's -cpu (default: " DEFAULT_CPU ")\n"
	"  --gic 2|3          version of the interrupt controller (default: 3)\n"
	"  --icount           virtual time counts instructions: two runs are identical\n"
	"\n"
	"The second stage\n"
	"  --pages 4k|block   largest mapping (default: block, up to 2 MiB or 1 GiB)\n"
	"  --reclaim[=N]      take memory that the guest does not use, up to N percent of it at\n"
	"                     once, and give it back when it does (default: " DEFAULT_RECLAIM ")\n"
	"  --merge            let pages with equal contents share a frame until they are written\n"
	"  --plain            no hypervisor: the same guest directly in QEMU, to compare\n"
	"\n"
	"What you get\n"
	"  --json             one JSON object on stdout; with --verbose the console on stderr\n"
	"  --report FILE      also writes the JSON to FILE and a picture of the guest's memory\n"
	"                     beside it: out.json and out.svg for out, out.json or out.svg\n"
	"  --console FILE     also writes the guest's console, byte for byte\n"
	"  --trace FILE       also writes what the hypervisor does to its tables and TLBs, for\n"
	"                     `stage2 check FILE` to judge; the guest runs slower\n"
	"  --quiet            only the report, no console\n"
	"  --timeout SECONDS  end the run after that long (default: 300; interactive: 0, never)\n"
	"  --stall SECONDS    end it when nothing moved for that long (default: 60; as above)\n"
	"\n"
	"For those who work on stage2\n"
	"  --hyp FILE         hypervisor image (or $STAGE2_HYP)\n"
	"  --qemu FILE        emulator (or $STAGE2_QEMU; default: qemu-system-aarch64)\n"
	"  --test             offer the test hypercalls that tests/guest uses\n"
	"\n"
	"Exit status: 0 the guest switched itself off; 1 it crashed, reset itself or was ended by\n"
	"a watchdog, or what was asked for could not be written; 2 it was not started.\n"
	"\n"
	"Examples:\n"
	"  stage2 run --interactive --smp 2\n"
	"  stage2 run --pages 4k --report boot     # look at boot.svg\n"
	"  stage2 run --json | jq .ram_faults\n";

/* A number in [min, max] without anything after it. */
static int number(const char *name, const char *text, unsigned int min, unsigned int max,
		  unsigned int *value)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end || n < min || n > max)
		return complain("--%s %s: must be a number from %u to %u", name, text, min, max);
	*value = (unsigned int)n;
	return 0;
}

static int memory(const char *text, unsigned int *mib)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);
	unsigned long unit = 1;

	if (*end == 'G' || *end == 'g')
		unit = 1024;
	if (*end && strchr("GgMm", *end))
		end++;
	if (text[0] < '0' || text[0] > '9' || *end || !n || n > 256ul * 1024 / unit)
		return complain("--mem %s: must be a size up to 256G, like 512, 512M or 2G", text);
	*mib = (unsigned int)(n * unit);
	return 0;
}

static int pages(const char *text, unsigned int *flags)
{
	if (strcmp(text, "4k") && strcmp(text, "4K") && strcmp(text, "block"))
		return complain("--pages %s: must be 4k or block", text);
	*flags &= ~(unsigned int)RUN_PAGES_4K;
	if (text[0] == '4')
		*flags |= RUN_PAGES_4K;
	return 0;
}

static int apply(int key, const char *value, struct run_options *o)
{
	switch (key) {
	case OPT_CPU:
		o->cpu = value;
		return 0;
	case OPT_SMP:
		return number("smp", value, 1, HYP_MAX_CPUS, &o->smp);
	case OPT_MEM:
		return memory(value, &o->mem_mib);
	case OPT_GIC:
		return number("gic", value, 2, 3, &o->gic);
	case OPT_KERNEL:
		o->kernel = value;
		return 0;
	case OPT_INITRD:
		o->initrd = value;
		return 0;
	case OPT_APPEND:
		o->append = value;
		return 0;
	case OPT_PAGES:
		return pages(value, &o->flags);
	case OPT_RECLAIM:
		return number("reclaim", value ? value : DEFAULT_RECLAIM, 1, 100, &o->reclaim);
	case OPT_REPORT:
		o->report = value;
		return 0;
	case OPT_CONSOLE:
		o->console = value;
		return 0;
	case OPT_TRACE:
		o->trace = value;
		return 0;
	case OPT_TIMEOUT:
		return number("timeout", value, 0, 1000000, &o->timeout_s);
	case OPT_STALL:
		return number("stall", value, 0, 1000000, &o->stall_s);
	case OPT_HYP:
		o->hyp = value;
		return 0;
	case OPT_QEMU:
		o->qemu = value;
		return 0;
	default:
		if (key < OPT_FLAG)
			return complain("try `stage2 run --help`"); /* getopt said what is wrong */
		o->flags |= (unsigned int)(key - OPT_FLAG);
		return 0;
	}
}

static int contradictions(const struct run_options *o)
{
	if ((o->flags & RUN_INTERACTIVE) && (o->flags & RUN_JSON))
		return complain("--interactive and --json both want stdout: use --report FILE");
	if ((o->flags & RUN_INTERACTIVE) && (o->flags & RUN_ICOUNT))
		return complain("--interactive and --icount: no run with a person is repeatable");
	if ((o->flags & RUN_PLAIN) && (o->flags & (RUN_PAGES_4K | RUN_TEST)))
		return complain("--plain runs without hypervisor: --pages and --test mean nothing");
	if ((o->flags & RUN_PLAIN) && (o->reclaim || o->flags & RUN_MERGE))
		return complain("--plain runs without hypervisor: nobody is there to --reclaim or "
				"--merge");
	if ((o->flags & RUN_PLAIN) && o->hyp)
		return complain("--plain runs without hypervisor: --hyp means nothing");
	if ((o->flags & RUN_PLAIN) && o->trace)
		return complain("--plain runs without hypervisor: there is nothing to --trace");
	if ((o->flags & RUN_ICOUNT) && o->trace)
		return complain("--icount and --trace: waiting for the file is never the same "
				"twice");
	return 0;
}

enum options_verdict options_parse(int argc, char **argv, struct run_options *options)
{
	const unsigned int unset = ~0u;
	char name[] = "stage2";
	int key;

	*options = (struct run_options){
		.smp = 1,
		.gic = 3,
		.mem_mib = 512,
		.timeout_s = unset,
		.stall_s = unset,
		.cpu = DEFAULT_CPU,
	};
	argv[0] = name; /* getopt's messages begin with it, as ours */
	while ((key = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (key == OPT_HELP || key == 'h') {
			fputs(help_text, stdout);
			return OPTIONS_HELPED;
		}
		if (apply(key, optarg, options))
			return OPTIONS_BAD;
	}
	if (optind < argc) {
		complain("'%s' is no option: try `stage2 run --help`", argv[optind]);
		return OPTIONS_BAD;
	}
	if (options->timeout_s == unset)
		options->timeout_s = options->flags & RUN_INTERACTIVE ? 0 : 300;
	if (options->stall_s == unset)
		options->stall_s = options->flags & RUN_INTERACTIVE ? 0 : 60;
	return contradictions(options) ? OPTIONS_BAD : OPTIONS_RUN;
}
