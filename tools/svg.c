// SPDX-License-Identifier: BSD-2-Clause
/*
 * The picture of a run. From top to bottom: memory as a grid of tiles, row by row from its base;
 * the devices, a line each; the faults over time. One scale of colours runs through all three: it
 * says when something was touched first, and the axis of time at the bottom is its legend.
 *
 * A 2 MiB block is one solid tile; where pages are mapped singly, the tile shows its 64 cells, as
 * strong as they are full. Coordinates are whole or have one decimal, so that equal runs (--icount)
 * give equal files.
 */
#include <stdlib.h>
#include <string.h>

#include "map.h"
#include "show.h"

#define WIDTH      1000
#define MARGIN     40
#define GRID_X     138
#define GRID_W     832
#define DEVICE_ROW 22
#define DEVICES    16
#define BINS       104
#define CHART_H    96

struct svg {
	FILE *out;
	const struct run_options *options;
	const struct run_result *result;
	const struct hyp_report *report;
	const struct numbers *numbers;
	struct map *map;
	double end_s;  /* right end of the axis of time */
	double last_s; /* the last fault: right end of the scale of colours */
	double y;      /* where the next section begins */
	double tile;   /* pitch of tiles */
	unsigned int columns;
	unsigned int ndevices;
};

static void put_text(struct svg *svg, double x, double y, const char *class, const char *text)
{
	fprintf(svg->out, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, class);
	for (; *text; text++) {
		if (*text == '<')
			fputs("&lt;", svg->out);
		else if (*text == '&')
			fputs("&amp;", svg->out);
		else if ((unsigned char)*text >= 0x20)
			fputc(*text, svg->out);
	}
	fputs("</text>\n", svg->out);
}

static void put_rect(struct svg *svg, double x, double y, double w, double h, const char *fill)
{
	fprintf(svg->out,
		"<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", x, y,
		w, h, fill);
}

struct colour {
	char text[8];
};

/* Early is dark blue, late is yellow; unknown is grey. Brightness alone tells, too. */
static struct colour colour_at(const struct svg *svg, double when)
{
	static const unsigned char stops[][3] = {
		{ 49, 18, 110 },  { 86, 60, 180 },   { 60, 120, 190 },
		{ 40, 165, 150 }, { 110, 200, 100 }, { 250, 220, 60 },
	};
	const unsigned int last = sizeof(stops) / sizeof(stops[0]) - 1;
	double at = svg->last_s > 0 ? when / svg->last_s * last : 0;
	unsigned int i;
	struct colour colour = { "#9aa0a6" };
	int rgb[3];

	if (when < 0)
		return colour;
	if (at > last)
		at = last;
	i = at < last ? (unsigned int)at : last - 1;
	for (int c = 0; c < 3; c++)
		rgb[c] = (int)(stops[i][c] + (at - i) * (stops[i + 1][c] - stops[i][c]) + 0.5);
	snprintf(colour.text, sizeof(colour.text), "#%02x%02x%02x", rgb[0] & 0xff, rgb[1] & 0xff,
		 rgb[2] & 0xff);
	return colour;
}

static void put_size(char *text, size_t n, uint64_t bytes)
{
	if (bytes >= 1ull << 30 && !(bytes & ((1ull << 30) - 1)))
		snprintf(text, n, "%llu GiB", (unsigned long long)(bytes >> 30));
	else if (bytes >= 1ull << 20)
		snprintf(text, n, "%llu MiB", (unsigned long long)(bytes >> 20));
	else
		snprintf(text, n, "%llu KiB", (unsigned long long)(bytes >> 10));
}

static void draw_head(struct svg *svg)
{
	const struct run_options *o = svg->options;
	const struct hyp_report *r = svg->report;
	const struct numbers *numbers = svg->numbers;
	char mapped[32], size[32], text[256];

	put_size(size, sizeof(size), r->ram_size);
	put_size(mapped, sizeof(mapped), svg->numbers->mapped_ram);
	snprintf(text, sizeof(text), "Guest memory: %s of %s touched", mapped, size);
	put_text(svg, MARGIN, 48, "title", text);
	snprintf(text, sizeof(text),
		 "%llu memory faults, %llu device faults, %llu pages of tables; %s",
		 (unsigned long long)numbers->ram_faults,
		 (unsigned long long)numbers->counts.device_faults,
		 (unsigned long long)numbers->table_pages, run_end_text(o, svg->result));
	put_text(svg, MARGIN, 72, "note", text);
	snprintf(text, sizeof(text), "-cpu %s, %u CPU%s, GICv%u, %s", o->cpu, o->smp,
		 o->smp == 1 ? "" : "s", o->gic,
		 o->flags & RUN_PAGES_4K ? "4 KiB pages only" : "blocks where possible");
	put_text(svg, MARGIN, 92, "note", text);
	svg->y = 126;
}

static void draw_cells(struct svg *svg, const struct map_tile *tile, double x, double y, double w)
{
	uint64_t cell_size = svg->map->tile_size / (MAP_SUB * MAP_SUB);
	double pitch = w / MAP_SUB;

	for (unsigned int i = 0; i < MAP_SUB * MAP_SUB; i++) {
		const struct map_cell *cell = &tile->cells[i];
		double full = (double)cell->mapped / (double)cell_size;

		if (!cell->mapped)
			continue;
		fprintf(svg->out,
			"<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"%s\" "
			"opacity=\"%.2f\"/>\n",
			x + i % MAP_SUB * pitch, y + i / MAP_SUB * pitch, pitch, pitch,
			colour_at(svg, cell->touched_s).text, 0.25 + 0.75 * full);
	}
}

static void draw_tile(struct svg *svg, unsigned int index)
{
	const struct map_tile *tile = &svg->map->tiles[index];
	double x = GRID_X + index % svg->columns * svg->tile;
	double y = svg->y + index / svg->columns * svg->tile;
	double w = svg->tile - (svg->tile > 16 ? 2 : 1);
	struct colour colour = colour_at(svg, tile->cells[0].touched_s);

	if (tile->reserved) {
		put_rect(svg, x, y, w, w, "url(#hyp)");
	} else if (tile->level > 0) {
		fprintf(svg->out,
			"<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"3\" "
			"fill=\"%s\"/>\n",
			x, y, w, w, colour.text);
	} else {
		put_rect(svg, x, y, w, w, "#eef0f3");
		draw_cells(svg, tile, x, y, w);
	}
}

static void draw_key(struct svg *svg, double y)
{
	struct colour colour = colour_at(svg, svg->last_s / 2);
	char size[32], text[64];
	double x = GRID_X;

	put_size(size, sizeof(size), svg->map->tile_size);
	fprintf(svg->out,
		"<rect x=\"%.1f\" y=\"%.1f\" width=\"14\" height=\"14\" rx=\"3\" fill=\"%s\"/>\n",
		x, y, colour.text);
	put_text(svg, x + 20, y + 11, "note", "block");
	put_rect(svg, x + 78, y, 14, 14, "#eef0f3");
	put_rect(svg, x + 80, y + 2, 4, 4, colour.text);
	put_rect(svg, x + 84, y + 6, 4, 4, colour.text);
	put_text(svg, x + 98, y + 11, "note", "4 KiB pages");
	put_rect(svg, x + 196, y, 14, 14, "#eef0f3");
	put_text(svg, x + 216, y + 11, "note", "never touched");
	put_rect(svg, x + 324, y, 14, 14, "url(#hyp)");
	put_text(svg, x + 344, y + 11, "note", "the hypervisor's own");
	snprintf(text, sizeof(text), "a tile is %s", size);
	put_text(svg, GRID_X + GRID_W, y + 11, "note end", text);
}

static void draw_memory(struct svg *svg)
{
	const struct map *map = svg->map;
	unsigned int rows = (map->ntiles + svg->columns - 1) / svg->columns;
	char text[64];

	put_text(svg, MARGIN, svg->y, "head", "Memory");
	draw_key(svg, svg->y - 12);
	svg->y += 18;
	for (unsigned int row = 0; row < rows; row++) {
		uint64_t first = map->base + map->tile_size * row * svg->columns;
		unsigned int every = svg->tile > 16 ? 1 : 2;

		if (row % every)
			continue;
		snprintf(text, sizeof(text), "0x%llx", (unsigned long long)first);
		put_text(svg, GRID_X - 10, svg->y + row * svg->tile + svg->tile / 2 + 3,
			 "address end", text);
	}
	for (unsigned int i = 0; i < map->ntiles; i++)
		draw_tile(svg, i);
	svg->y += rows * svg->tile + 40;
}

/* QEMU's virt machine (hw/arm/virt.c): what lies where. */
static const char *device_name(uint64_t gpa)
{
	static const struct {
		uint64_t gpa;
		const char *name;
	} devices[] = {
		{ 0, "flash" },
		{ 0x8000000, "GIC distributor" },
		{ 0x8010000, "GIC CPU interface" },
		{ 0x8020000, "GICv2m" },
		{ 0x8080000, "GIC ITS" },
		{ 0x80a0000, "GIC redistributors" },
		{ 0x9000000, "UART" },
		{ 0x9010000, "real-time clock" },
		{ 0x9020000, "firmware configuration" },
		{ 0x9030000, "GPIO" },
		{ 0x9050000, "SMMU" },
		{ 0xa000000, "virtio-mmio" },
		{ 0xc000000, "platform bus" },
		{ 0x10000000, "PCIe memory" },
		{ 0x3eff0000, "PCIe I/O ports" },
		{ 0x3f000000, "PCIe configuration" },
		{ HYP_RAM_BASE, "" },
		{ 0x4010000000, "PCIe configuration" },
		{ 0x8000000000, "PCIe memory, high" },
	};
	const char *name = "";

	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
		if (gpa >= devices[i].gpa)
			name = devices[i].name;
	return name;
}

static const char *type_name(unsigned int type)
{
	static const char *const names[S2_MEM_TYPES] = {
		[S2_MEM_NORMAL] = "normal memory",    [S2_MEM_NC] = "non-cacheable",
		[S2_MEM_DEVICE] = "device nGnRE",     [S2_MEM_DEVICE_nGnRnE] = "device nGnRnE",
		[S2_MEM_DEVICE_nGRE] = "device nGRE", [S2_MEM_DEVICE_GRE] = "device GRE",
	};

	return type < S2_MEM_TYPES ? names[type] : "?";
}

static void draw_device(struct svg *svg, const struct hyp_run *run)
{
	double when = map_touched(svg->report, svg->numbers, run->gpa, run->size);
	char size[32], text[96];

	put_rect(svg, GRID_X, svg->y, 14, 14, colour_at(svg, when).text);
	put_text(svg, GRID_X + 24, svg->y + 11, "body", device_name(run->gpa));
	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)run->gpa);
	put_text(svg, GRID_X + 320, svg->y + 11, "address end", text);
	put_size(size, sizeof(size), numbers_level_size(run->level));
	snprintf(text, sizeof(text), "%u x %s %s%s", run->leaves, size,
		 run->level ? "block" : "page", run->leaves == 1 ? "" : "s");
	put_text(svg, GRID_X + 350, svg->y + 11, "note", text);
	put_text(svg, GRID_X + 530, svg->y + 11, "note", type_name(run->type));
	if (when >= 0) {
		snprintf(text, sizeof(text), "%.3f s", when);
		put_text(svg, GRID_X + GRID_W, svg->y + 11, "note end", text);
	}
	svg->y += DEVICE_ROW;
}

/*
 * Gathers the runs of one device and level from *i on, holes between them or not. Returns 0 when
 * there are no more devices.
 */
static int next_device(const struct svg *svg, unsigned int *i, struct hyp_run *device)
{
	const struct hyp_run *runs = svg->report->runs;
	unsigned int n = svg->numbers->nruns;

	while (*i < n && !s2_memtype_is_device((enum s2_memtype)runs[*i].type))
		++*i;
	if (*i == n)
		return 0;
	*device = runs[*i];
	while (++*i < n && runs[*i].type == device->type && runs[*i].level == device->level &&
	       device_name(runs[*i].gpa) == device_name(device->gpa)) {
		device->size = runs[*i].gpa + runs[*i].size - device->gpa;
		device->leaves += runs[*i].leaves;
	}
	return 1;
}

static unsigned int count_devices(const struct svg *svg)
{
	struct hyp_run device;
	unsigned int i = 0, n = 0;

	while (next_device(svg, &i, &device))
		n++;
	return n;
}

static void draw_devices(struct svg *svg)
{
	unsigned int shown = 0, i = 0;
	struct hyp_run device;
	char text[64];

	put_text(svg, MARGIN, svg->y, "head", "Devices");
	svg->y -= 12;
	while (shown < DEVICES && next_device(svg, &i, &device)) {
		draw_device(svg, &device);
		shown++;
	}
	if (svg->ndevices > shown)
		snprintf(text, sizeof(text), "and %u more", svg->ndevices - shown);
	if (!shown || svg->ndevices > shown) {
		put_text(svg, GRID_X + 24, svg->y + 11, "note", shown ? text : "none was touched");
		svg->y += DEVICE_ROW;
	}
	svg->y += 38;
}

static unsigned int device_rows(const struct svg *svg)
{
	if (!svg->ndevices)
		return 1;
	return svg->ndevices <= DEVICES ? svg->ndevices : DEVICES + 1;
}

/* Bars of faults over time; a bar's height is the root of its count, so that few still show. */
static void draw_bars(struct svg *svg, double base)
{
	uint64_t bins[BINS] = { 0 };
	uint64_t most = 1;
	double w = (double)GRID_W / BINS;
	char text[64];

	for (uint64_t i = 0; i < svg->numbers->logged; i++) {
		double when = map_seconds(svg->report, svg->numbers->faults[i].when);
		unsigned int bin = (unsigned int)(when / svg->end_s * BINS);

		bins[bin < BINS ? bin : BINS - 1]++;
	}
	for (unsigned int i = 0; i < BINS; i++)
		if (bins[i] > most)
			most = bins[i];
	for (unsigned int i = 0; i < BINS; i++) {
		double share = (double)bins[i] / (double)most;
		double root = share;

		/* Newton's method: libm is not worth it. */
		for (int k = 0; k < 20 && root > 0; k++)
			root = (root + share / root) / 2;
		if (bins[i])
			put_rect(svg, GRID_X + i * w, base - CHART_H * root, w - 1, CHART_H * root,
				 colour_at(svg, (i + 0.5) / BINS * svg->end_s).text);
	}
	snprintf(text, sizeof(text), "%llu", (unsigned long long)most);
	put_text(svg, GRID_X - 10, base - CHART_H + 8, "address end", text);
	put_text(svg, GRID_X - 10, base, "address end", "0");
}

static void draw_phases(struct svg *svg, double top, double base)
{
	const struct run_result *r = svg->result;
	double free_x[3] = { 0, 0, 0 }; /* rows of labels: where each has room again */

	/* Phases are times of the host's clock: with --icount that is not the guest's. */
	if ((svg->options->flags & RUN_ICOUNT) || r->start_s < 0)
		return;
	for (unsigned int i = 0; i < r->nphases; i++) {
		double at = (r->phases[i].at_s - r->start_s) / svg->end_s;
		double x = GRID_X + GRID_W * (at < 0 ? 0 : at > 1 ? 1 : at);
		double width = 8 + 6.5 * (double)strlen(r->phases[i].name);
		unsigned int row = 0;

		while (row < 2 && free_x[row] > x)
			row++;
		free_x[row] = x + width;
		fprintf(svg->out, "<path d=\"M%.1f %.1fV%.1f\" class=\"mark\"/>\n", x,
			top + 12 * row - 6, base);
		if (x + width < WIDTH - 8)
			put_text(svg, x + 3, top + 12 * row + 2, "mark-text", r->phases[i].name);
		else
			put_text(svg, x - 3, top + 12 * row + 2, "mark-text end",
				 r->phases[i].name);
	}
}

static void draw_axis(struct svg *svg, double base)
{
	static const double steps[] = { 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300 };
	double step = steps[0];
	char text[32];

	for (unsigned int i = 0; i < BINS; i++)
		put_rect(svg, GRID_X + i * (double)GRID_W / BINS, base + 2,
			 (double)GRID_W / BINS + 0.5, 8,
			 colour_at(svg, (i + 0.5) / BINS * svg->end_s).text);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && svg->end_s / step > 10; i++)
		step = steps[i];
	for (unsigned int i = 0; i * step <= svg->end_s && i < 1000; i++) {
		snprintf(text, sizeof(text), "%g s", i * step);
		put_text(svg, GRID_X + GRID_W * (i * step / svg->end_s), base + 26, "note middle",
			 text);
	}
}

static void draw_time(struct svg *svg)
{
	double top = svg->y + 4;
	double base = top + 40 + CHART_H;

	put_text(svg, MARGIN, svg->y + 8, "head", "Faults");
	put_text(svg, MARGIN, svg->y + 26, "note", "over time");
	draw_bars(svg, base);
	draw_phases(svg, top, base);
	draw_axis(svg, base);
	svg->y = base + 46;
}

static const char style[] =
	"<style>"
	"text{font-family:'DejaVu Sans',Helvetica,Arial,sans-serif;font-size:12px;fill:#24292f}"
	".title{font-size:22px;font-weight:bold}.head{font-size:15px;font-weight:bold}"
	".note{fill:#57606a}.end{text-anchor:end}.middle{text-anchor:middle}"
	".address{font-family:'DejaVu Sans Mono',monospace;font-size:11px;fill:#57606a}"
	".mark{stroke:#b0b6bd;stroke-width:1;stroke-dasharray:3 2;fill:none}"
	".mark-text{font-size:10px;fill:#57606a}"
	"</style>\n"
	"<defs><pattern id=\"hyp\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">"
	"<rect width=\"6\" height=\"6\" fill=\"#f6d9d5\"/>"
	"<path d=\"M0 6L6 0\" stroke=\"#d9857b\" stroke-width=\"1.5\"/></pattern></defs>\n";

int show_svg(FILE *out, const struct run_options *options, const struct run_result *result,
	     const struct numbers *numbers)
{
	struct svg svg = {
		.out = out,
		.options = options,
		.result = result,
		.report = result->report,
		.numbers = numbers,
		.map = map_build(result->report, numbers),
		.end_s = numbers->guest_s > 0 ? numbers->guest_s : 1,
	};
	double rows, height;

	svg.last_s = numbers->logged ? map_seconds(result->report,
						   numbers->faults[numbers->logged - 1].when)
				     : 0;
	svg.columns = svg.map->ntiles > 256 ? 64 : 32;
	svg.tile = (double)GRID_W / svg.columns;
	svg.ndevices = count_devices(&svg);
	rows = (svg.map->ntiles + svg.columns - 1) / svg.columns;
	height = 126 + 18 + rows * svg.tile + 40 + 26 + device_rows(&svg) * DEVICE_ROW + 4 + 40 +
		 CHART_H + 46 + 10;
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" "
		"viewBox=\"0 0 %d %.0f\">\n",
		WIDTH, height, WIDTH, height);
	fputs(style, out);
	put_rect(&svg, 0, 0, WIDTH, height, "#ffffff");
	draw_head(&svg);
	draw_memory(&svg);
	draw_devices(&svg);
	draw_time(&svg);
	fputs("</svg>\n", out);
	free(svg.map);
	return ferror(out);
}
