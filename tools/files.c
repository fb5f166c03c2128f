// SPDX-License-Identifier: BSD-2-Clause
/*
 * The files that a run needs. Where one is not named on the command line, its environment variable
 * is asked, then the places where the build and where the installation put it, seen from our own
 * executable; the guest's kernel comes from the cache that scripts/fetch-guest fills.
 *
 * Everything that would make the guest die without a word is found here: a kernel that is none, or
 * memory that is too small for the places where hypervisor, kernel, initramfs and device tree go.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

#define MIB 0x100000ull

/* Header of an arm64 Image (Linux, Documentation/arm64/booting.rst), little-endian. */
struct image_header {
	uint32_t code[2];
	uint64_t text_offset;
	uint64_t image_size;
	uint64_t flags;
	uint64_t reserved[3];
	char magic[4];
	uint32_t pe;
};

static char *join(const char *directory, const char *name)
{
	char *path = NULL;

	if (asprintf(&path, "%s/%s", directory, name) < 0)
		abort();
	return path;
}

/* The directory of our executable, to find what was built or installed with it. */
static char *own_directory(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return strdup(".");
	*slash = '\0';
	return strdup(path);
}

/* The first that exists of: the environment's, the build's, the installation's; else NULL. */
static const char *find(const char *variable, const char *built, const char *installed)
{
	const char *named = getenv(variable);
	const char *places[] = { built, installed };
	char *directory;

	if (named && named[0])
		return named;
	directory = own_directory();
	for (size_t i = 0; i < 2; i++) {
		char *path = join(directory, places[i]);

		if (!access(path, F_OK)) {
			free(directory);
			return path;
		}
		free(path);
	}
	free(directory);
	return NULL;
}

static const char *cached_kernel(void)
{
	const char *cache = getenv("STAGE2_CACHE");
	const char *base = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");

	if (cache && cache[0])
		return join(cache, "arm64/Image");
	if (base && base[0])
		return join(base, "stage2/arm64/Image");
	return join(home ? home : "", ".cache/stage2/arm64/Image");
}

/* Opens a regular file and says its size; complains by its role ("kernel"). */
static FILE *open_file(const char *role, const char *path, uint64_t *size)
{
	FILE *file = fopen(path, "rb");
	struct stat st;

	if (!file) {
		complain("%s '%s': %s", role, path, strerror(errno));
		return NULL;
	}
	if (fstat(fileno(file), &st) || !S_ISREG(st.st_mode)) {
		complain("%s '%s': is no regular file", role, path);
		fclose(file);
		return NULL;
	}
	*size = (uint64_t)st.st_size;
	return file;
}

/* Checks that path is an arm64 Image and says how much memory it takes when it runs. */
static int check_image(const char *role, const char *path, uint64_t *memory_size)
{
	struct image_header header = { 0 };
	uint64_t size = 0;
	FILE *file = open_file(role, path, &size);
	size_t got;

	if (!file)
		return EXIT_USAGE;
	got = fread(&header, 1, sizeof(header), file);
	fclose(file);
	if (got >= 2 && !memcmp(&header, "\x1f\x8b", 2))
		return complain("%s '%s' is compressed: gunzip it first", role, path);
	if (got < sizeof(header) || memcmp(header.magic, "ARM\x64", 4))
		return complain("%s '%s' is no arm64 Image (built as arch/arm64/boot/Image)", role,
				path);
	if (header.flags & 1)
		return complain("%s '%s' is big-endian: that is not supported", role, path);
	/* Since Linux 5.8 it is 0; the hypervisor loads at the start of the guest's memory. */
	if (header.text_offset)
		return complain("%s '%s' wants to lie at offset 0x%llx: only 0 is supported", role,
				path, (unsigned long long)header.text_offset);
	*memory_size = header.image_size > size ? header.image_size : size;
	return 0;
}

uint64_t files_reserve(const struct run_options *options)
{
	return options->flags & RUN_PLAIN ? 0 : hyp_reserve_size(options->mem_mib * MIB);
}

/* What the hypervisor takes at the end of memory. */
static uint64_t tail(const struct run_options *options)
{
	uint64_t mem = options->mem_mib * MIB, reserve = files_reserve(options);

	if (mem < reserve || !(options->reclaim || options->flags & RUN_MERGE))
		return 0;
	return hyp_tail_size(mem - reserve, options->reclaim);
}

/*
 * QEMU (hw/arm/boot.c) puts the initramfs at half of memory or at 128 MiB, whichever is less, and
 * the device tree into the 2 MiB after it; the kernel lies at the start of the guest's memory.
 */
static int fits(const struct run_options *options, uint64_t kernel, uint64_t initrd)
{
	uint64_t mem = options->mem_mib * MIB;
	uint64_t initrd_at = mem / 2 < 128 * MIB ? mem / 2 : 128 * MIB;

	return files_reserve(options) + kernel <= initrd_at &&
	       initrd_at + initrd + 4 * MIB <= mem - tail(options);
}

static int check_memory(const struct run_options *options, uint64_t kernel, uint64_t initrd)
{
	struct run_options enough = *options;

	if (fits(options, kernel, initrd))
		return 0;
	while (enough.mem_mib < 65536 && !fits(&enough, kernel, initrd))
		enough.mem_mib++;
	if (!fits(&enough, kernel, initrd))
		return complain("kernel '%s' needs %llu MiB: too large to lie below the initramfs",
				options->kernel, (unsigned long long)(kernel / MIB));
	return complain("--mem %u is too little for hypervisor (%llu MiB), kernel (%llu MiB) and "
			"initramfs (%llu MiB): give it %u at least",
			options->mem_mib,
			(unsigned long long)((files_reserve(options) + tail(options)) / MIB),
			(unsigned long long)((kernel + MIB - 1) / MIB),
			(unsigned long long)((initrd + MIB - 1) / MIB), enough.mem_mib);
}

static int check_initrd(struct run_options *options, uint64_t *size)
{
	FILE *file;

	*size = 0;
	if (!options->initrd) {
		options->initrd = find("STAGE2_INITRD", "../initramfs.cpio",
				       "../share/stage2/initramfs.cpio");
		if (!options->initrd)
			return complain("no initramfs: say `make` in the source tree, or name one "
					"with --initrd FILE (or 'none')");
	}
	if (!strcmp(options->initrd, "none")) {
		options->initrd = NULL;
		return 0;
	}
	file = open_file("initramfs", options->initrd, size);
	if (!file)
		return EXIT_USAGE;
	fclose(file);
	return 0;
}

static int check_hyp(struct run_options *options)
{
	uint64_t size;

	if (options->flags & RUN_PLAIN)
		return 0;
	if (!options->hyp && options->trace)
		options->hyp = find("STAGE2_HYP_TRACE", "../arm64/hyp/arm64/stage2-hyp-trace.bin",
				    "../share/stage2/stage2-hyp-trace.bin");
	else if (!options->hyp)
		options->hyp = find("STAGE2_HYP", "../arm64/hyp/arm64/stage2-hyp.bin",
				    "../share/stage2/stage2-hyp.bin");
	if (!options->hyp)
		return complain("no hypervisor image: say `make` in the source tree, or name one "
				"with --hyp FILE");
	return check_image("hypervisor", options->hyp, &size);
}

static int check_kernel(struct run_options *options, uint64_t *size)
{
	if (!options->kernel) {
		options->kernel = cached_kernel();
		if (access(options->kernel, F_OK))
			return complain(
				"no guest kernel in '%s': fetch Debian's with `make run` or "
				"scripts/fetch-guest, or name one with --kernel FILE",
				options->kernel);
	}
	return check_image("kernel", options->kernel, size);
}

int files_check(struct run_options *options)
{
	const char *qemu = getenv("STAGE2_QEMU");
	uint64_t kernel = 0, initrd = 0;

	if (!options->qemu)
		options->qemu = qemu && qemu[0] ? qemu : "qemu-system-aarch64";
	if (check_hyp(options) || check_kernel(options, &kernel) ||
	    check_initrd(options, &initrd) || check_memory(options, kernel, initrd))
		return EXIT_USAGE;
	return 0;
}
