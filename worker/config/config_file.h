/*
 * config_file.h - the JSON file that --config names. schemas/config.schema.json says the same for editors.
 */
#ifndef QUASHD_CONFIG_FILE_H
#define QUASHD_CONFIG_FILE_H

#include <stdbool.h>

#include "config.h"
#include "problem.h"

#define CONFIG_FILE_BYTES_MAX ((size_t)64 << 10)

/* Reads the file's settings into *config. Relative paths in the file start at the file's own directory. False after
 * adding every mistake to `problems`. */
bool config_file_load(struct config *config, const char *path, struct problems *problems);

#endif
