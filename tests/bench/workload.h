/*
 * workload.h - what is cached, and in which order it is asked for.
 *
 * Keys are "user:" and the entry's number, zero-padded to the key's length ("user:00000012345"). An entry belongs to
 * one group of each of the first `groups` kinds ("tenant:17", "region:3", ...); which one is fixed by its number, and a
 * group has some hundreds of members.
 */
#ifndef QUASH_BENCH_WORKLOAD_H
#define QUASH_BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quash/token.h>

#define ENTRIES_MAX     100000000u /* so that a number has eight digits at most */
#define KEY_BYTES_MIN   8u
#define KEY_BYTES_MAX   512u
#define VALUE_BYTES_MIN 8u
#define VALUE_BYTES_MAX 1048576u
#define GROUPS_MAX      QUASH_TOKEN_GROUPS_MAX
#define GROUP_NAME_SIZE 32u

struct workload {
    uint64_t entries;
    uint64_t key_bytes;
    uint64_t value_bytes;
    uint64_t groups;
};

/* Writes key_bytes bytes. */
void workload_key(const struct workload *workload, uint64_t number, char *key);

/* Turns a key into that of another entry: in all keys, only the last eight bytes differ. A few nanoseconds. */
void workload_rekey(const struct workload *workload, uint32_t number, char *key);

/* Writes the name of the entry's group of the kind with this number, from 0. */
void workload_group(const struct workload *workload, uint64_t number, unsigned kind, char name[GROUP_NAME_SIZE]);

/* Writes value_bytes bytes; another version, other bytes. */
void workload_value(const struct workload *workload, uint64_t number, uint64_t version, unsigned char *value);

/* Adds all groups of the entry. False without memory. */
bool workload_add_groups(const struct workload *workload, uint64_t number, quash_token *token);

/* ---- Zipf: the entry of rank r is asked for with a frequency proportional to 1 / r^s. Which entry has which rank is
 * random, so that those in demand do not lie side by side. */

struct zipf;

/* `s` 0 is uniform. NULL without memory. */
struct zipf *zipf_new(uint64_t entries, double s, uint64_t seed);
void zipf_free(struct zipf *zipf);

/* ---- Draws: which entries are asked for, one after the other, drawn beforehand so that drawing is not measured. */

#define DRAW_WRITE UINT32_C(0x80000000) /* in a draw: a write, not a lookup; the rest is the entry's number */

struct draws {
    size_t count; /* a power of two, some millions */
    uint32_t *draw;
};

/* Fewer where there are many threads. False without memory; then nothing is to be freed. */
bool draws_init(struct draws *draws, const struct zipf *zipf, double write_percent, size_t threads, uint64_t seed);
void draws_fini(struct draws *draws);

#endif
