/*
 * rules_workload.h - rules and the events that they are about: made up, but shaped like what emitters send.
 *
 * domain   one rule an entity, told apart by exchange and routing key; a CloudEvent as the body
 * cdc      one rule a table, all on one exchange and told apart by a value in the body; a Debezium change as the body
 *
 * Besides, one rule of each of the first shape's exchanges wants every event that deletes something.
 */
#ifndef QUASH_BENCH_RULES_WORKLOAD_H
#define QUASH_BENCH_RULES_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RULES_EVENT_GROUPS 3u

enum rules_shape { RULES_DOMAIN, RULES_CDC };
extern const char *const rules_shapes[]; /* their names, NULL-terminated */

struct rules_event {
    char exchange[32], routing_key[64];
    char body[512];
    size_t body_size;
    char groups[RULES_EVENT_GROUPS][48]; /* what it cancels under the rules, sorted */
    size_t group_count;
};

/* The text of a rules file, for the caller to free; NULL when memory ran out. */
char *rules_workload_text(enum rules_shape shape, uint64_t rules);

/* Event number `number`, of a rule that `random` chooses. */
void rules_workload_event(enum rules_shape shape, uint64_t rules, uint64_t *random, struct rules_event *event);

#endif
