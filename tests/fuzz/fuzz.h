/*
 * fuzz.h - what the fuzzers have in common.
 *
 * A fuzzer is one file with LLVMFuzzerTestOneInput, which not only must not crash, but also checks what is promised of
 * every input; a promise that is broken ends it by fuzz_broken. With libFuzzer it is run by `./dev fuzz`; linked with
 * replay.c it runs the corpus that is in the tree, with any compiler, as a test.
 */
#ifndef QUASH_FUZZ_H
#define QUASH_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "rules.h"

/* libFuzzer's own names. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* Says which promise was broken, and ends. */
_Noreturn void fuzz_broken(const char *promise);

/* Ends unless `name` may be the name of a group. */
void fuzz_check_group(const char *name, size_t length);

/* Judges the event twice, with the index and by asking every rule, and ends unless both say the same, the groups are
 * proper and the verdict fits them. `make` gives the event anew for each time. */
void fuzz_judge(const struct rules *rules, struct event (*make)(const void *context), const void *context);

/* Changes data[size], which is JSON text, as a person or a program would: whole values and members rather than bytes.
 * What is no JSON is changed bytewise. The result has at most max_size bytes. */
size_t fuzz_mutate_json(uint8_t *data, size_t size, size_t max_size, unsigned seed);

#endif
