/*
 * table_stat.h - the state of a table, for people and for programs.
 */
#ifndef QUASH_TABLE_STAT_H
#define QUASH_TABLE_STAT_H

#include <stdbool.h>
#include <stdio.h>

#include <quash/table.h>

/* A line for each thing worth knowing. */
void table_stat_print(const char *path, const quash_table_info *info, const quash_table_source *source, FILE *out);

/* The same as one JSON object on one line; what is not known is null. False when memory ran out. */
bool table_stat_print_json(const char *path, const quash_table_info *info, const quash_table_source *source, FILE *out);

#endif
