/*
 * bench_cancel.c - `quash-bench cancel`: what cancelling a group costs, and how soon its entries are refused, for
 * groups of very different size.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "fixture.h"
#include "measure.h"
#include "options.h"
#include "results.h"
#include "workload.h"

#define WHO "quash-bench cancel"

#define GROUP       "tenant:1"
#define OTHER_GROUP "region:7"
#define CANCELS     1000u /* timed together */
#define REFUSALS    200u  /* timed one by one, a round */
#define ROUNDS_MAX  101u
#define ALL_LIVE    9u    /* times that the group is cancelled with all members live, for groups of a million at most */
#define CHECKED     1000u /* members that must be refused after that */
#define ENTRY_ROOM  320u  /* more than the bookkeeping of an entry */

static const char about[] = "Cancels a group that many cached entries depend on, and looks one of them up.\n"
                            "\n"
                            "The table is a file in shared memory as quashd serves it; the cache follows it with a\n"
                            "read-only handle of its own.\n";

static const char method[] = "ns_per_cancel: a thousand calls of quash_table_cancel, timed together; the median of\n"
                             "all rounds. Rounds go through the sizes in turn.\n"
                             "ns_to_refused: from the start of a cancellation to the return of the lookup behind it\n"
                             "that refuses a member; the member is stored anew before each, and found live. Single\n"
                             "times by the fenced time stamp counter; the median.\n"
                             "ns_all_live: the same with every member of the group stored anew before; the median of\n"
                             "9, of 2 for groups of more than a million. A thousand other members are looked up\n"
                             "afterwards: one that is not refused ends the run with 1.\n"
                             "flatness: the largest ns_per_cancel of all sizes to the smallest.\n";

struct size {
    struct fixture fixture;
    struct workload workload;
    quash_token *token;
    unsigned char *value;
    double cancel_ns[ROUNDS_MAX];
    double refused_ns[ROUNDS_MAX * REFUSALS];
    double all_live_ns[ALL_LIVE];
    size_t rounds, refusals, all_lives;
};

struct cancel_plan {
    struct option_list members;
    uint64_t value_bytes;
    uint64_t rounds;
};

/* The token's stamp is older than the value in all that follows. */
static quash_status put_member(struct size *size, uint64_t number)
{
    char key[KEY_BYTES_MAX];
    workload_key(&size->workload, number, key);
    workload_value(&size->workload, number, 0, size->value);
    return quash_cache_put(size->fixture.cache, key, size->workload.key_bytes, size->token, size->value,
                           size->workload.value_bytes, NULL);
}

static quash_status stamp(struct size *size)
{
    quash_token_restart(size->token);
    return quash_token_add(size->token, GROUP);
}

static quash_status put_all(struct size *size)
{
    quash_status status = stamp(size);
    for (uint64_t i = 0; i < size->workload.entries && status == QUASH_OK; i++)
        status = put_member(size, i);
    return status;
}

static bool is_live(struct size *size, uint64_t number)
{
    char key[KEY_BYTES_MAX];
    workload_key(&size->workload, number, key);
    quash_entry *entry = quash_cache_get(size->fixture.cache, key, size->workload.key_bytes);
    quash_entry_release(entry);
    return entry != NULL;
}

static int open_size(struct size *size, uint64_t members, uint64_t value_bytes)
{
    size->workload = (struct workload){.entries = members, .key_bytes = 16, .value_bytes = value_bytes};
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.max_bytes = (size_t)members * (size->workload.key_bytes + value_bytes + ENTRY_ROOM) + ((size_t)16 << 20);
    options.ttl_ms = QUASH_TTL_FOREVER;
    int code = fixture_open(&size->fixture, WHO, &options);
    if (code != EXIT_DONE)
        return code;
    size->value = malloc(value_bytes);
    if (size->value == NULL || quash_token_new(size->fixture.table, &size->token) != QUASH_OK)
        return bench_out_of_memory(WHO);
    quash_status status = put_all(size);
    return status == QUASH_OK ? EXIT_DONE : bench_failed(WHO, "a member cannot be stored", status);
}

static void close_size(struct size *size)
{
    quash_token_free(size->token);
    free(size->value);
    fixture_close(&size->fixture);
}

/* Cancels the group and looks up member 0, which must have been live. */
static int time_refusal(struct size *size, const struct tick_scale *scale, double *ns)
{
    char key[KEY_BYTES_MAX];
    workload_key(&size->workload, 0, key);
    if (!is_live(size, 0)) {
        fputs(WHO ": a member that was stored after the last cancellation was not found\n", stderr);
        return EXIT_WRONG;
    }
    uint64_t begin = ticks_begin();
    quash_status status = quash_table_cancel(size->fixture.served, GROUP);
    quash_entry *entry = quash_cache_get(size->fixture.cache, key, size->workload.key_bytes);
    uint64_t ticks = ticks_end() - begin;
    quash_entry_release(entry);
    if (status != QUASH_OK)
        return bench_failed(WHO, "the group cannot be cancelled", status);
    if (entry != NULL) {
        fputs(WHO ": a member was served after its group was cancelled\n", stderr);
        return EXIT_WRONG;
    }
    *ns = ticks_to_ns(scale, (double)ticks);
    return EXIT_DONE;
}

static int time_cancels(quash_table *table, double *ns)
{
    uint64_t begin_ns = now_ns();
    for (unsigned i = 0; i < CANCELS; i++) {
        quash_status status = quash_table_cancel(table, GROUP);
        if (status != QUASH_OK)
            return bench_failed(WHO, "the group cannot be cancelled", status);
    }
    *ns = (double)(now_ns() - begin_ns) / CANCELS;
    return EXIT_DONE;
}

static int run_round(struct size *size, const struct tick_scale *scale)
{
    int code = time_cancels(size->fixture.served, &size->cancel_ns[size->rounds++]);
    for (unsigned i = 0; i < REFUSALS && code == EXIT_DONE; i++) {
        quash_status status = stamp(size);
        if (status == QUASH_OK)
            status = put_member(size, 0);
        if (status != QUASH_OK)
            return bench_failed(WHO, "a member cannot be stored", status);
        code = time_refusal(size, scale, &size->refused_ns[size->refusals++]);
    }
    return code;
}

static int run_all_live(struct size *size, const struct tick_scale *scale)
{
    size_t times = size->workload.entries > 1000000 ? 2 : ALL_LIVE;
    for (; size->all_lives < times; size->all_lives++) {
        quash_status status = put_all(size);
        if (status != QUASH_OK)
            return bench_failed(WHO, "a member cannot be stored", status);
        /* After a million stores nothing of what follows is in the processor's caches; for one member all is. */
        for (unsigned i = 0; i < REFUSALS; i++) {
            quash_table_cancel(size->fixture.served, OTHER_GROUP);
            (void)is_live(size, 0);
        }
        int code = time_refusal(size, scale, &size->all_live_ns[size->all_lives]);
        if (code != EXIT_DONE)
            return code;
        for (uint64_t i = 0; i < CHECKED; i++)
            if (is_live(size, i * size->workload.entries / CHECKED)) {
                fputs(WHO ": a member was served after its group was cancelled\n", stderr);
                return EXIT_WRONG;
            }
    }
    return EXIT_DONE;
}

/* The same call on a table that no other process can see. */
static int run_private(double *ns)
{
    quash_table *table;
    quash_status status = quash_table_new_private(QUASH_TABLE_BUCKETS_DEFAULT, &table);
    if (status != QUASH_OK)
        return bench_failed(WHO, "no private table can be made", status);
    double rounds[ROUNDS_MAX];
    int code = EXIT_DONE;
    for (size_t i = 0; i < ROUNDS_MAX && code == EXIT_DONE; i++)
        code = time_cancels(table, &rounds[i]);
    *ns = measure_quantile(rounds, ROUNDS_MAX, 0.5);
    quash_table_close(table);
    return code;
}

static void report(const struct cancel_plan *plan, struct size *sizes, double private_ns, bool json)
{
    struct results results = {.command = "cancel"};
    double least = INFINITY, most = 0, least_refused = INFINITY, most_refused = 0, most_all_live = 0;
    for (size_t i = 0; i < plan->members.count; i++) {
        struct size *size = &sizes[i];
        double cancel = measure_quantile(size->cancel_ns, size->rounds, 0.5);
        double refused = measure_quantile(size->refused_ns, size->refusals, 0.5);
        double all_live = measure_quantile(size->all_live_ns, size->all_lives, 0.5);
        results_row(&results);
        results_add_to_row(&results, "members", (double)size->workload.entries, 0, "entries that depend on the group");
        results_add_to_row(&results, "ns_per_cancel", cancel, 1, "of a call of quash_table_cancel");
        results_add_to_row(&results, "ns_to_refused", refused, 1, "from its start to the first refused hit");
        results_add_to_row(&results, "ns_all_live", all_live, 1, "the same, all members having been live");
        least = fmin(least, cancel);
        most = fmax(most, cancel);
        least_refused = fmin(least_refused, refused);
        most_refused = fmax(most_refused, refused);
        most_all_live = fmax(most_all_live, all_live);
    }
    if (plan->members.count == 1)
        results_add(&results, "members", (double)plan->members.item[0], 0, "entries that depend on the group");
    results_add(&results, "value_bytes", (double)plan->value_bytes, 0, "of each entry");
    results_add(&results, "rounds", (double)plan->rounds, 0, "of 1,000 cancellations and 200 refused hits each");
    results_add(&results, "ns_per_cancel", most, 1, "the largest of all sizes");
    results_add(&results, "ns_to_refused", most_refused, 1, "the largest of all sizes");
    results_add(&results, "ns_all_live", most_all_live, 1, "the largest of all sizes");
    results_add(&results, "flatness", most / least, 3, "the largest ns_per_cancel to the smallest");
    results_add(&results, "refused_flatness", most_refused / least_refused, 3,
                "the largest ns_to_refused to the smallest");
    results_add(&results, "ns_per_private_cancel", private_ns, 1, "of a call on a private table");
    results_print(&results, json);
}

static int run(const struct cancel_plan *plan, bool json)
{
    struct size *sizes = calloc(plan->members.count, sizeof *sizes);
    if (sizes == NULL)
        return bench_out_of_memory(WHO);
    struct tick_scale scale = measure_ticks();
    measure_pin(0);
    int code = EXIT_DONE;
    for (size_t i = 0; i < plan->members.count && code == EXIT_DONE; i++)
        code = open_size(&sizes[i], plan->members.item[i], plan->value_bytes);
    for (uint64_t round = 0; round < plan->rounds && code == EXIT_DONE; round++)
        for (size_t i = 0; i < plan->members.count && code == EXIT_DONE; i++)
            code = run_round(&sizes[i], &scale);
    for (size_t i = 0; i < plan->members.count && code == EXIT_DONE; i++)
        code = run_all_live(&sizes[i], &scale);
    double private_ns = NAN;
    if (code == EXIT_DONE)
        code = run_private(&private_ns);
    if (code == EXIT_DONE)
        report(plan, sizes, private_ns, json);
    for (size_t i = 0; i < plan->members.count; i++)
        close_size(&sizes[i]);
    free(sizes);
    return code;
}

int bench_cancel(int argc, char **argv)
{
    struct cancel_plan plan = {.members = {3, {1, 1000, 1000000}}, .value_bytes = 8, .rounds = 51};
    bool json = false;
    const struct option flags[] = {
        {.name = "members",
         .value = "N[,N...]",
         .list = &plan.members,
         .min = 1,
         .max = 10000000,
         .help = "entries that depend on the group;\nseveral groups are compared"},
        {.name = "value-bytes",
         .value = "B",
         .count = &plan.value_bytes,
         .min = VALUE_BYTES_MIN,
         .max = 4096,
         .help = "of each entry"},
        {.name = "rounds",
         .value = "N",
         .count = &plan.rounds,
         .min = 1,
         .max = ROUNDS_MAX,
         .help = "through the sizes"},
        {.name = "json", .on = &json, .help = "one JSON object instead of a table"},
    };
    const struct options options = {WHO, NULL, about, method, flags, sizeof flags / sizeof flags[0]};
    enum options_outcome outcome = options_parse(&options, argc, argv, NULL);
    return outcome == OPTIONS_RUN ? run(&plan, json) : options_exit_code(outcome);
}
