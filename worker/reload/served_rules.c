/*
 * served_rules.c - the rules file, loaded for this worker. See served_rules.h.
 */
#include "served_rules.h"

#include <stdio.h>
#include <string.h>

#include "log.h"
#include "quote.h"

/* Every binding needs an exchange. */
static void check_exchanges(const struct rules *rules, struct problems *problems)
{
    const struct binding *bindings = rules_bindings(rules);
    for (size_t i = 0; i < rules_binding_count(rules); i++) {
        if (bindings[i].exchange != NULL)
            continue;
        char names[200], key[QUOTE_SIZE];
        problems_add(
            problems, 0, 0, NULL,
            "%s (routing key %s) has no exchange to listen at: add \"exchange\" to \"when\", or give --exchange "
            "for all rules that name none",
            rules_of_binding(rules, &bindings[i], names, sizeof names),
            quote_text(key, sizeof key, bindings[i].routing_key, strlen(bindings[i].routing_key)));
    }
}

static void check_dead_letters(const struct rules *rules, const char *exchange, struct problems *problems)
{
    const char *asks = rules_asks_for_dead_letters(rules);
    if (asks != NULL && exchange == NULL)
        problems_add(problems, 0, 0, NULL,
                     "%s, but there is no exchange for dead letters: give --dead-letter-exchange, "
                     "QUASH_DEAD_LETTER_EXCHANGE or \"dead_letter_exchange\" in the configuration file, or take it out",
                     asks);
    const struct binding *bindings = rules_bindings(rules);
    for (size_t i = 0; exchange != NULL && i < rules_binding_count(rules); i++) {
        char names[200];
        if (bindings[i].exchange == NULL || strcmp(bindings[i].exchange, exchange) != 0)
            continue;
        problems_add(problems, 0, 0, NULL,
                     "%s listens at exchange \"%.255s\", where dead letters go, so that each would come back as an "
                     "event and become a dead letter again: give --dead-letter-exchange an exchange of their own",
                     rules_of_binding(rules, &bindings[i], names, sizeof names), exchange);
        return;
    }
}

struct rules *served_rules_load(const struct rules_file *file, struct problems *problems, struct problems *warnings)
{
    size_t before = problems->count;
    struct rules *rules = rules_load(file->path, file->default_exchange, problems, warnings);
    if (rules == NULL)
        return NULL;
    check_exchanges(rules, problems);
    check_dead_letters(rules, file->dead_letter_exchange, problems);
    if (problems->count == before)
        return rules;
    rules_free(rules);
    return NULL;
}

static void log_each(const struct rules_file *file, const struct problems *problems, enum log_level level,
                     const char *sentence)
{
    size_t kept = problems->count < PROBLEMS_MAX ? problems->count : PROBLEMS_MAX;
    for (size_t i = 0; i < kept; i++) {
        const struct problem *problem = &problems->item[i];
        char line[LOG_NUMBER_SIZE], column[LOG_NUMBER_SIZE];
        bool placed = problem->line > 0;
        log_line(level, sentence, "what", problem->sentence, "file", file->path, "line",
                 placed ? log_number(line, (uint64_t)problem->line) : NULL, "column",
                 placed ? log_number(column, (uint64_t)problem->column) : NULL, "at",
                 problem->pointer[0] != '\0' ? problem->pointer : NULL, NULL);
    }
    char more[LOG_NUMBER_SIZE];
    if (problems->count > kept)
        log_line(level, sentence, "what", "and more, which are not told one by one", "file", file->path, "more",
                 log_number(more, problems->count - kept), NULL);
}

void served_rules_log_problems(const struct rules_file *file, const struct problems *problems)
{
    log_each(file, problems, LOG_ERROR, "the rules file cannot be used");
}

void served_rules_log_warnings(const struct rules_file *file, const struct problems *warnings)
{
    log_each(file, warnings, LOG_WARN, "the rules hardly mean what they say");
}
