/*
 * config.h - what quashd is told: flags beat the environment, which beats the file that --config names.
 *
 * Every setting is a flag `--some-name`, a variable QUASH_SOME_NAME and, except --config itself, a key "some_name" of
 * the file. A setting is taken whole from the strongest place that has it: one --amqp-url replaces the variable's list.
 * All places are checked, also where they are overruled, and every mistake is explained, not the first alone.
 */
#ifndef QUASHD_CONFIG_H
#define QUASHD_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "log.h"

#define CONFIG_URLS_MAX             16u
#define CONFIG_INSTANCE_MAX         200u  /* bytes; the queue's name is this and a prefix, in at most 255 */
#define CONFIG_PATH_MAX             4000u /* bytes; leaves room for `.lock` within PATH_MAX */
#define CONFIG_PREFETCH_MIN         1u    /* 0 would mean without limit */
#define CONFIG_PREFETCH_MAX         65535u
#define CONFIG_PREFETCH_DEFAULT     1000u
#define CONFIG_QUEUE_EXPIRES_MIN_MS 1000u
#define CONFIG_QUEUE_EXPIRES_MAX_MS 4294967295u /* RabbitMQ's own limit, 49.7 days */
#define CONFIG_QUEUE_EXPIRES_MS     86400000u   /* a day */
#define CONFIG_TABLE_MODE           0600u
#define CONFIG_TABLE_DIRECTORY      "/dev/shm/quash"
#define CONFIG_AMQP_URL             "amqp://guest:guest@127.0.0.1:5672/"

struct config {
    char *amqp_url[CONFIG_URLS_MAX]; /* tried in turn; at least one */
    size_t amqp_url_count;
    char *exchange;             /* where rules listen that name none; NULL: they must name one */
    char *dead_letter_exchange; /* NULL: none, and rules that need one are refused */
    char *rules_path;           /* never NULL */
    char *table_path;           /* never NULL */
    char *instance;             /* never NULL; names the queue `quash.<instance>` */
    uint64_t table_buckets;
    uint32_t table_mode;
    uint32_t prefetch;
    uint64_t queue_expires_ms; /* how long the queue outlives its worker */
    enum log_level log_level;
    bool check; /* --check: load the rules too, say "configuration ok" on standard output, exit 0; 3 if they are bad */
};

enum config_outcome {
    CONFIG_RUN,   /* go on with what was read */
    CONFIG_DONE,  /* --help or --version: printed, exit 0 */
    CONFIG_USAGE, /* a flag or variable is wrong: explained, exit 2 */
    CONFIG_BAD,   /* the file is wrong: explained, exit 3 */
};

/* Reads flags, environment and file into *config (config_fini it whatever the outcome); prints what --help, --version
 * or a mistake calls for. May reorder argv. */
enum config_outcome config_read(struct config *config, int argc, char **argv, FILE *out, FILE *err);
void config_fini(struct config *config);

#endif
