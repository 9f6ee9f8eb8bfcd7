/*
 * bench_rules.c - `quash-bench rules`: what an event costs from its bytes to its groups, beside what parsing its body
 * alone costs.
 *
 * The only subcommand that uses quashd's own code.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bench.h"
#include "event.h"
#include "groups.h"
#include "measure.h"
#include "options.h"
#include "problem.h"
#include "results.h"
#include "rules.h"
#include "rules_workload.h"

#define WHO "quash-bench rules"

#define ROUNDS_MAX 501u
#define SEED       UINT64_C(20260101)

static const char about[] = "Judges made-up events under made-up rules, from the bytes of the body to the set of\n"
                            "groups: all that quashd does with an event before the table.\n"
                            "\n"
                            "domain: rules differ in exchange and routing key, events are CloudEvents. cdc: all rules\n"
                            "are about one exchange and differ in a value of the body, events are Debezium's.\n";

static const char method[] =
    "ns_parse: jansson alone, with the flags that quashd gives it: the bodies are parsed and\n"
    "freed. ns_judge: the same bodies parsed, matched, their groups named and put into a set,\n"
    "everything freed. Both go through all events, in turn, once a round; the figures are\n"
    "medians of the rounds, and ratio is the median of each round's own ratio.\n"
    "The groups of every event are compared with those that the event was made with, before\n"
    "and, by their number, in every round: others end the run with 1.\n";

struct plan {
    size_t shape;
    uint64_t rules, events, rounds;
};

struct rules_bench {
    struct plan plan;
    struct rules *rules;
    struct rules_event *events;
    struct groups *groups;
    uint64_t group_count; /* of all events */
    size_t body_bytes;
    double load_ms;
    double parse_ns[ROUNDS_MAX], judge_ns[ROUNDS_MAX], ratios[ROUNDS_MAX];
};

static void close_bench(struct rules_bench *bench)
{
    rules_free(bench->rules);
    groups_free(bench->groups);
    free(bench->events);
}

static int open_bench(struct rules_bench *bench)
{
    const struct plan *plan = &bench->plan;
    struct problems *problems = calloc(1, sizeof *problems);
    char *text = rules_workload_text((enum rules_shape)plan->shape, plan->rules);
    bench->groups = groups_new();
    bench->events = calloc((size_t)plan->events, sizeof *bench->events);
    bool fine = problems != NULL && text != NULL && bench->groups != NULL && bench->events != NULL;
    if (fine) {
        uint64_t begin_ns = now_ns();
        bench->rules = rules_parse(text, strlen(text), NULL, problems, NULL);
        bench->load_ms = (double)(now_ns() - begin_ns) / (double)NS_PER_MS;
        if (bench->rules == NULL)
            problems_print(problems, "the made-up rules", stderr);
    }
    free(problems);
    free(text);
    if (!fine)
        return bench_out_of_memory(WHO);
    if (bench->rules == NULL)
        return EXIT_WRONG;
    uint64_t random = SEED;
    for (uint64_t i = 0; i < plan->events; i++) {
        rules_workload_event((enum rules_shape)plan->shape, plan->rules, &random, &bench->events[i]);
        bench->group_count += bench->events[i].group_count;
        bench->body_bytes += bench->events[i].body_size;
    }
    return EXIT_DONE;
}

/* Adds the event's groups to the set. */
static bool judge(const struct rules_bench *bench, const struct rules_event *made)
{
    struct event event = {.exchange = made->exchange,
                          .routing_key = made->routing_key,
                          .body = made->body,
                          .body_size = made->body_size,
                          .body_sent = made->body_size};
    struct verdict verdict;
    bool fine = rules_judge(bench->rules, &event, bench->groups, &verdict, NULL, NULL);
    event_fini(&event);
    return fine;
}

/* Whether each event gives exactly its groups. */
static int check(const struct rules_bench *bench)
{
    for (uint64_t i = 0; i < bench->plan.events; i++) {
        const struct rules_event *event = &bench->events[i];
        groups_clear(bench->groups);
        if (!judge(bench, event))
            return bench_out_of_memory(WHO);
        groups_sort(bench->groups);
        bool same = groups_count(bench->groups) == event->group_count;
        for (size_t j = 0; j < event->group_count && same; j++)
            same = strcmp(groups_names(bench->groups)[j], event->groups[j]) == 0;
        if (same)
            continue;
        fprintf(stderr, WHO ": the event %s, %s, %s cancels", event->exchange, event->routing_key, event->body);
        for (size_t j = 0; j < groups_count(bench->groups); j++)
            fprintf(stderr, " %s", groups_names(bench->groups)[j]);
        fputs(", which is not what its rules say\n", stderr);
        return EXIT_WRONG;
    }
    return EXIT_DONE;
}

static int run_parse(const struct rules_bench *bench, double *ns)
{
    uint64_t begin_ns = now_ns();
    for (uint64_t i = 0; i < bench->plan.events; i++) {
        json_error_t error;
        json_t *json = json_loadb(bench->events[i].body, bench->events[i].body_size,
                                  JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
        if (json == NULL)
            return bench_out_of_memory(WHO);
        json_decref(json);
    }
    *ns = (double)(now_ns() - begin_ns) / (double)bench->plan.events;
    return EXIT_DONE;
}

static int run_judge(const struct rules_bench *bench, double *ns)
{
    uint64_t named = 0, begin_ns = now_ns();
    for (uint64_t i = 0; i < bench->plan.events; i++) {
        groups_clear(bench->groups);
        if (!judge(bench, &bench->events[i]))
            return bench_out_of_memory(WHO);
        named += groups_count(bench->groups);
    }
    *ns = (double)(now_ns() - begin_ns) / (double)bench->plan.events;
    if (named == bench->group_count)
        return EXIT_DONE;
    fprintf(stderr, WHO ": %" PRIu64 " groups in a round that has %" PRIu64 "\n", named, bench->group_count);
    return EXIT_WRONG;
}

static void report(struct rules_bench *bench, bool json)
{
    struct results results = {.command = "rules"};
    size_t rounds = (size_t)bench->plan.rounds;
    double events = (double)bench->plan.events;
    double parse_ns = measure_quantile(bench->parse_ns, rounds, 0.5);
    double judge_ns = measure_quantile(bench->judge_ns, rounds, 0.5);
    results_add(&results, "rules", (double)bench->plan.rules, 0, "in the file");
    results_add(&results, "events", events, 0, "different ones, in each round");
    results_add(&results, "rounds", (double)rounds, 0, "through all events, of each kind");
    results_add(&results, "body_bytes", (double)bench->body_bytes / events, 1, "of an event, on average");
    results_add(&results, "groups_per_event", (double)bench->group_count / events, 2, "on average");
    results_add(&results, "ns_parse", parse_ns, 0, "an event's body, by jansson alone");
    results_add(&results, "ns_judge", judge_ns, 0, "an event, to its groups");
    results_add(&results, "ratio", measure_quantile(bench->ratios, rounds, 0.5), 3, "of the two");
    results_add(&results, "load_ms", bench->load_ms, 1, "reading, checking and indexing the rules, once");
    results_print(&results, json);
}

static int run(struct rules_bench *bench, bool json)
{
    measure_pin(0);
    int code = open_bench(bench);
    if (code == EXIT_DONE)
        code = check(bench);
    for (uint64_t i = 0; i < bench->plan.rounds && code == EXIT_DONE; i++) {
        code = run_parse(bench, &bench->parse_ns[i]);
        if (code == EXIT_DONE)
            code = run_judge(bench, &bench->judge_ns[i]);
        bench->ratios[i] = bench->judge_ns[i] / bench->parse_ns[i];
    }
    if (code == EXIT_DONE)
        report(bench, json);
    close_bench(bench);
    return code;
}

int bench_rules(int argc, char **argv)
{
    static struct rules_bench bench;
    struct plan plan = {.shape = RULES_DOMAIN, .rules = 1000, .events = 2000, .rounds = 51};
    bool json = false;
    const struct option flags[] = {
        {.name = "rules", .value = "N", .count = &plan.rules, .min = 1, .max = RULES_MAX, .help = "in the file"},
        {.name = "events",
         .value = "N",
         .count = &plan.events,
         .min = 1,
         .max = 1000000,
         .help = "different ones, in each round"},
        {.name = "shape",
         .value = "NAME",
         .choice = &plan.shape,
         .choices = rules_shapes,
         .help = "of rules and events: domain or cdc"},
        {.name = "rounds",
         .value = "N",
         .count = &plan.rounds,
         .min = 1,
         .max = ROUNDS_MAX,
         .help = "of parsing alone and of judging, in turn"},
        {.name = "json", .on = &json, .help = "one JSON object instead of a table"},
    };
    const struct options options = {WHO, NULL, about, method, flags, sizeof flags / sizeof flags[0]};
    enum options_outcome outcome = options_parse(&options, argc, argv, NULL);
    if (outcome != OPTIONS_RUN)
        return options_exit_code(outcome);
    bench.plan = plan;
    return run(&bench, json);
}
