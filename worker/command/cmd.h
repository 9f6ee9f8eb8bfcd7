/*
 * cmd.h - the commands of `quash`. Each has a file of its own, reads its own flags, prints its own --help, and returns
 * one of the exit codes. argv[0] is the command's name ("rules"), argv[1] the first of what stands behind it.
 *
 * A command writes its answer to standard output and its complaints to standard error, as `quash NAME: sentence`.
 */
#ifndef QUASH_CMD_H
#define QUASH_CMD_H

#include "exit_code.h"

int cmd_rules(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_cancel(int argc, char **argv);
int cmd_table(int argc, char **argv);
int cmd_emit(int argc, char **argv);

#endif
