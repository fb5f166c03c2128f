// SPDX-License-Identifier: BSD-2-Clause
/* Pieces of JSON. A value that could not be made (no memory) is missing in what is written. */
#include "pack.h"

json_t *pack_text(const char *string)
{
	char clean[4096];
	json_t *value = json_string(string);
	size_t i;

	if (value)
		return value;
	for (i = 0; i < sizeof(clean) - 1 && string[i]; i++)
		clean[i] = string[i] & 0x80 ? '?' : string[i];
	clean[i] = '\0';
	return json_string(clean);
}

void pack_number(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

void pack_findings(json_t *object, uint64_t found, const uint64_t *by_rule,
		   const struct s2c_stats *stats)
{
	json_t *rules = json_object();

	pack_number(object, "violations", found);
	for (size_t i = 0; i < s2c_nrules; i++)
		if (by_rule[i])
			pack_number(rules, s2c_rules[i].id, by_rule[i]);
	json_object_set_new(object, "by_rule", rules);
	pack_number(object, "suspended", stats->suspended);
	pack_number(object, "events", stats->events);
	pack_number(object, "entries", stats->entries);
	pack_number(object, "tlbis", stats->tlbis);
	pack_number(object, "dsbs", stats->dsbs);
	pack_number(object, "runs", stats->runs);
}
