// SPDX-License-Identifier: BSD-2-Clause
/*
 * json-get FILE KEY[.KEY]...: prints a value of a JSON object, for the tests of the command. Fails
 * when the file is not exactly one JSON object or has no such key: so it tests validity, too.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	json_error_t error;
	json_t *root, *value;
	char *key;

	if (argc != 3)
		return 2;
	root = json_load_file(argv[1], JSON_REJECT_DUPLICATES, &error);
	if (!root) {
		fprintf(stderr, "json-get: %s:%d: %s\n", argv[1], error.line, error.text);
		return 1;
	}
	value = root;
	for (key = strtok(argv[2], "."); key && value; key = strtok(NULL, "."))
		value = json_object_get(value, key);
	if (json_is_string(value)) {
		puts(json_string_value(value));
	} else if (value) {
		json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
		putchar('\n');
	}
	json_decref(root);
	return !value;
}
