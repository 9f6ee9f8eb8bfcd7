/*
 * fuzz_rules.c - the text of a rules file. Whatever it is, it is refused with a reason or compiled; what is compiled
 * says the same when it is laid out otherwise, and judges events.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static struct problems problems, warnings;

/* Events that many rules in the corpus are about, and some that nobody likes. */
static const struct {
    const char *exchange, *routing_key, *body;
} events[] = {
    {"domain", "order.paid", "{\"id\": 17, \"tenant_id\": \"42\", \"type\": \"order.paid\"}"},
    {"cdc", "shop.public.orders",
     "{\"payload\": {\"op\": \"u\", \"before\": {\"id\": 1, \"tenant_id\": 4}, \"after\": {\"id\": 1, \"tenant_id\": "
     "5, "
     "\"lines\": [{\"sku\": \"a\"}, {\"sku\": \"b\"}, {}]}, \"source\": {\"table\": \"orders\"}}}"},
    {"", "", "not JSON"},
    {"pricing", "prices.eu-west.changed", ""},
    {"domain", "a..b", "[[], {}, null, 1.5, \"\", \"\\u0000\", 18446744073709551615]"},
};

static bool decode(const void *source, json_t **headers, json_t **properties, char problem[EVENT_PROBLEM_SIZE])
{
    (void)source;
    (void)problem;
    *headers = json_pack("{s:s, s:i, s:[s, {s:b}], s:n}", "env", "prod", "x-tenant", 42, "x-death", "q", "n", 1, "nil");
    *properties = json_pack("{s:s, s:s, s:i}", "type", "order.paid", "content_type", "application/json", "priority", 3);
    return true;
}

static struct event make(const void *context)
{
    size_t index = *(const size_t *)context;
    const char *body = events[index].body;
    return (struct event){.exchange = events[index].exchange,
                          .routing_key = events[index].routing_key,
                          .body = body,
                          .body_size = strlen(body),
                          .body_sent = strlen(body),
                          .decode = decode};
}

static void check_problems(const struct problems *found)
{
    for (size_t i = 0; i < found->count && i < PROBLEMS_MAX; i++) {
        if (found->item[i].sentence[0] == '\0')
            fuzz_broken("every problem has a sentence");
    }
}

/* The same document, laid out by a program. */
static void check_layout(const char *text, size_t size, const struct rules *rules)
{
    json_t *document = json_loadb(text, size, 0, NULL);
    char *other = document != NULL ? json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(document);
    if (other == NULL)
        return;
    problems.count = 0;
    struct rules *again = rules_parse(other, strlen(other), "fallback", &problems, NULL);
    if (again == NULL)
        fuzz_broken("a file that is laid out otherwise is as good");
    if (rules_hash(again) != rules_hash(rules) || rules_count(again) != rules_count(rules) ||
        rules_binding_count(again) != rules_binding_count(rules))
        fuzz_broken("a file that is laid out otherwise says the same");
    rules_free(again);
    free(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    problems.count = 0;
    warnings.count = 0;
    struct rules *rules = rules_parse((const char *)data, size, "fallback", &problems, &warnings);
    if ((rules == NULL) != (problems.count > 0))
        fuzz_broken("a file is refused if and only if there is a problem");
    check_problems(&problems);
    check_problems(&warnings);
    if (rules == NULL)
        return 0;
    if (rules_hash(rules) == 0)
        fuzz_broken("the hash is never 0");
    check_layout((const char *)data, size, rules);
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        fuzz_judge(rules, make, &i);
    rules_free(rules);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return fuzz_mutate_json(data, size, max_size, seed);
}
