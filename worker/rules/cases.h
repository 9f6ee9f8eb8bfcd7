/*
 * cases.h - test cases for rules: an event, and what is expected of it. They stand under `tests` in the rules file or
 * in files of their own.
 *
 *     { "name": "a payment concerns its order", "event": { "routing_key": "order.paid", "body": { "id": 17 } },
 *       "groups": ["order:17"], "rules": ["order changed"], "verdict": "cancel" }
 *
 * A file of cases is an object with such a list under `tests`, or one case by itself, whose name may be left out.
 */
#ifndef QUASHD_CASES_H
#define QUASHD_CASES_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "event_record.h"
#include "json_file.h"
#include "problem.h"
#include "rules.h"

#define CASES_FILE_BYTES_MAX     EVENT_RECORD_BYTES_MAX /* of a file of cases; in a rules file RULES_FILE_BYTES_MAX */
#define CASE_NAME_CHARACTERS_MAX 200

/* Checks a list of cases as it stands in a file: everything wrong with it is added to `problems`. */
void cases_check(json_t *list, const struct json_place *place, struct problems *problems);

struct test_case {
    char *name; /* owned */
    int line;   /* where it begins in its file, from 1 */
    struct event_record record;
    json_t *groups;      /* an array of strings, or NULL: nothing is expected of them; a reference */
    json_t *rules;       /* likewise; names of rules, in any order */
    const char *verdict; /* likewise; static */
};

struct cases {
    struct test_case *item;
    size_t count;
};

/* Reads the cases in text[size]: those under `tests` if it is a rules file, which must have been found fine; otherwise
 * those of a file of cases, whose `path` names a case that stands by itself and has no name. The events are cut out of
 * the text, so that the bytes of their bodies are those that stand there. False after adding to `problems`; then
 * *cases is empty. */
bool cases_parse(struct cases *cases, const char *text, size_t size, const char *path, bool rules_file,
                 struct problems *problems);

/* As cases_parse, of the file of cases at `path`. */
bool cases_load(struct cases *cases, const char *path, struct problems *problems);

void cases_fini(struct cases *cases);

#endif
