/*
 * cases.c - checking and reading test cases.
 *
 * Checking works on parsed JSON, as the loader of rules files has it, and tells everything that is wrong. Reading goes
 * over the text besides, case by case: a body must reach the rules with the bytes that the file has, and those are lost
 * in parsed JSON (white space, how a number is written).
 */
#include "cases.h"

#include <stdlib.h>
#include <string.h>

#include "json_text.h"
#include "quote.h"
#include "template.h"

static const char *const verdict_words[] = {"cancel", "ignore", "dead_letter", NULL};

static const char expected_case[] = "a test case: an object with \"name\", \"event\", and \"groups\", \"rules\" or "
                                    "\"verdict\"";

static void out_of_memory(struct problems *problems, const struct json_place *place)
{
    json_problem(problems, place, "out of memory");
}

/* `names`: those so far, each with the index of its case. */
static void check_name(const json_t *json, json_t *names, size_t index, const struct json_place *place,
                       struct problems *problems)
{
    static const char expected[] = "a name that no other case of the list has";
    const json_t *value = json_require(json, "name", expected, place, problems);
    if (value == NULL)
        return;
    struct json_place here = json_place_key(place, "name");
    if (!json_expect(value, JSON_STRING, expected, &here, problems))
        return;

    const char *name = json_string_value(value);
    size_t characters = json_characters(value);
    if (characters == 0)
        json_problem(problems, &here, "found an empty name; expected %s", expected);
    else if (characters > CASE_NAME_CHARACTERS_MAX)
        json_problem(problems, &here, "the name has %zu characters; at most %d are allowed", characters,
                     CASE_NAME_CHARACTERS_MAX);
    for (const char *c = name; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            json_problem(problems, &here, "the name contains a control character; take it out");
            break;
        }
    }

    const json_t *other = json_object_get(names, name);
    char shown[QUOTE_SIZE];
    if (other != NULL)
        json_problem(problems, &here,
                     "the name %s is taken by case %" JSON_INTEGER_FORMAT " of the list; give each case its own",
                     quote_text(shown, sizeof shown, name, strlen(name)), json_integer_value(other) + 1);
    else if (json_object_set_new(names, name, json_integer((json_int_t)index)) != 0)
        out_of_memory(problems, &here);
}

/* The record's own reader says what is wrong with it; its pointers are prolonged by where the record stands. */
static void check_event(const json_t *json, const struct json_place *place, struct problems *problems)
{
    const json_t *value = json_require(
        json, "event", "an event record, as in {\"routing_key\": \"order.paid\", \"body\": {}}", place, problems);
    if (value == NULL)
        return;
    struct json_place here = json_place_key(place, "event");
    struct problems *found = calloc(1, sizeof *found);
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    struct event_record record;
    if (found == NULL || text == NULL) {
        out_of_memory(problems, &here);
    } else if (event_record_parse(&record, text, strlen(text), found)) {
        event_record_fini(&record);
    } else {
        char prefix[PROBLEM_POINTER_SIZE], pointer[2 * PROBLEM_POINTER_SIZE];
        json_place_pointer(&here, prefix, sizeof prefix);
        for (size_t i = 0; i < found->count; i++) {
            const struct problem *problem = &found->item[i < PROBLEMS_MAX ? i : PROBLEMS_MAX - 1];
            snprintf(pointer, sizeof pointer, "%s%s", prefix, problem->pointer);
            problems_add(problems, 0, 0, pointer, "%s", problem->sentence);
        }
    }
    free(text);
    free(found);
}

static void check_group(const json_t *value, const struct json_place *place, struct problems *problems)
{
    if (!json_expect(value, JSON_STRING, "a group, as in \"tenant:42\"", place, problems))
        return;
    size_t length = json_string_length(value);
    if (length == 0 || length > TEMPLATE_GROUP_BYTES_MAX)
        json_problem(problems, place, "has %zu bytes; a group's name has 1 to %d", length, TEMPLATE_GROUP_BYTES_MAX);
}

/* `one` says what an element must be, or is NULL where check_group does. */
static bool check_strings(const json_t *json, const char *key, const char *expected, const char *one,
                          const struct json_place *place, struct problems *problems)
{
    const json_t *list = json_object_get(json, key);
    if (list == NULL)
        return false;
    struct json_place here = json_place_key(place, key);
    if (!json_expect(list, JSON_ARRAY, expected, &here, problems))
        return true;
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct json_place item = json_place_index(&here, i);
        if (one == NULL)
            check_group(json_array_get(list, i), &item, problems);
        else
            json_expect(json_array_get(list, i), JSON_STRING, one, &item, problems);
    }
    return true;
}

static const char *find_verdict(const json_t *value)
{
    for (size_t i = 0; json_is_string(value) && verdict_words[i] != NULL; i++) {
        if (strcmp(json_string_value(value), verdict_words[i]) == 0)
            return verdict_words[i];
    }
    return NULL;
}

static bool check_verdict(const json_t *json, const struct json_place *place, struct problems *problems)
{
    static const char expected[] = "\"cancel\", \"ignore\" or \"dead_letter\"";
    const json_t *value = json_object_get(json, "verdict");
    if (value == NULL)
        return false;
    struct json_place here = json_place_key(place, "verdict");
    if (!json_expect(value, JSON_STRING, expected, &here, problems) || find_verdict(value) != NULL)
        return true;
    char shown[QUOTE_SIZE];
    quote_json(shown, sizeof shown, value);
    const char *nearest = nearest_word(json_string_value(value), verdict_words);
    if (nearest != NULL)
        json_problem(problems, &here, "%s is no verdict; did you mean \"%s\"?", shown, nearest);
    else
        json_problem(problems, &here, "%s is no verdict; expected %s", shown, expected);
    return true;
}

/* `names` is NULL for a case that is a whole file, which may have a schema and no name. */
static void check_case(json_t *json, json_t *names, size_t index, const struct json_place *place,
                       struct problems *problems)
{
    static const char *const known[] = {"name", "description", "event", "groups", "rules", "verdict", "$schema", NULL};
    static const char *const known_in_list[] = {"name", "description", "event", "groups", "rules", "verdict", NULL};
    if (!json_expect(json, JSON_OBJECT, expected_case, place, problems))
        return;
    json_check_keys(json, names != NULL ? known_in_list : known, place, problems);
    json_t *none = names == NULL && json_object_get(json, "name") != NULL ? json_object() : NULL;
    if (names != NULL || none != NULL)
        check_name(json, names != NULL ? names : none, index, place, problems);
    json_decref(none);
    const json_t *description = json_object_get(json, "description");
    struct json_place description_place = json_place_key(place, "description");
    if (description != NULL)
        json_expect(description, JSON_STRING, "a string, for people", &description_place, problems);
    check_event(json, place, problems);

    bool groups =
        check_strings(json, "groups", "a list of groups, as in [\"tenant:42\"]; [] is none", NULL, place, problems);
    bool rules =
        check_strings(json, "rules", "a list of rules' names; [] is none", "the name of a rule", place, problems);
    bool verdict = check_verdict(json, place, problems);
    if (!groups && !rules && !verdict)
        json_problem(problems, place, "nothing is expected; add \"groups\", \"rules\" or \"verdict\"");
}

void cases_check(json_t *list, const struct json_place *place, struct problems *problems)
{
    if (!json_expect(list, JSON_ARRAY, "a list of test cases", place, problems))
        return;
    size_t count = json_array_size(list);
    if (count > RULES_TESTS_MAX) {
        json_problem(problems, place, "found %zu test cases; at most %d are allowed; put the rest into other files",
                     count, RULES_TESTS_MAX);
        return;
    }
    json_t *names = json_object();
    if (names == NULL) {
        out_of_memory(problems, place);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct json_place item = json_place_index(place, i);
        check_case(json_array_get(list, i), names, i, &item, problems);
    }
    json_decref(names);
}

static bool is_one_case(const json_t *root)
{
    return json_object_get(root, "tests") == NULL && json_object_get(root, "event") != NULL;
}

static void check_file(json_t *root, struct problems *problems)
{
    static const char *const known[] = {"$schema", "description", "tests", NULL};
    if (!json_expect(root, JSON_OBJECT, "a file of cases: an object with \"tests\", a list; or one test case", NULL,
                     problems))
        return;
    const json_t *schema = json_object_get(root, "$schema");
    struct json_place schema_place = json_place_key(NULL, "$schema");
    if (schema != NULL)
        json_expect(schema, JSON_STRING, "where the schema is, for editors", &schema_place, problems);
    if (is_one_case(root)) {
        check_case(root, NULL, 0, NULL, problems);
        return;
    }
    json_check_keys(root, known, NULL, problems);
    const json_t *description = json_object_get(root, "description");
    struct json_place description_place = json_place_key(NULL, "description");
    if (description != NULL)
        json_expect(description, JSON_STRING, "a string, for people", &description_place, problems);
    json_t *list =
        json_require(root, "tests", "a list of test cases; or \"event\" and the rest of one case", NULL, problems);
    struct json_place here = json_place_key(NULL, "tests");
    if (list != NULL)
        cases_check(list, &here, problems);
}

/* "order-paid" of "tests/order-paid.json". */
static char *name_of_file(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash != NULL && slash[1] != '\0' ? slash + 1 : path;
    size_t length = strlen(base);
    if (length > 5 && strcmp(base + length - 5, ".json") == 0)
        length -= 5;
    return strndup(base, length);
}

/* Reads the case that is `json`, and text[span]. */
static bool read_case(struct test_case *test, const json_t *json, const char *text, const struct json_span *span,
                      const char *path, struct problems *problems)
{
    const json_t *name = json_object_get(json, "name");
    struct json_span event;
    size_t size = span->end - span->begin;
    test->name = name != NULL ? strdup(json_string_value(name)) : name_of_file(path);
    if (test->name == NULL) {
        out_of_memory(problems, NULL);
        return false;
    }
    if (!json_text_find(text + span->begin, size, "/event", &event)) {
        problems_add(problems, test->line, 1, NULL, "the event of this case cannot be found in the text");
        return false;
    }
    if (!event_record_parse(&test->record, text + span->begin + event.begin, event.end - event.begin, problems))
        return false;
    test->groups = json_incref(json_object_get(json, "groups"));
    test->rules = json_incref(json_object_get(json, "rules"));
    test->verdict = find_verdict(json_object_get(json, "verdict"));
    return true;
}

/* Moves `span` from one element of a list to the next; each step looks only at its own part of the text. */
static bool next_element(const char *text, size_t size, struct json_span *span)
{
    size_t at = span->end;
    at += strspn(text + at, " \t\r\n,");
    struct json_span found;
    if (at >= size || text[at] == ']' || !json_text_find(text + at, size - at, "", &found))
        return false;
    *span = (struct json_span){at, at + found.begin, at + found.end};
    return true;
}

static bool read_list(struct cases *cases, const struct json_file *file, const json_t *list, const char *path,
                      struct problems *problems)
{
    size_t count = json_array_size(list);
    struct json_span span;
    if (count == 0)
        return true;
    cases->item = calloc(count, sizeof *cases->item);
    if (cases->item == NULL || !json_text_find(file->text, file->size, "/tests", &span)) {
        out_of_memory(problems, NULL);
        return false;
    }
    size_t counted = 0;
    int line = 1;
    span.end = span.begin + 1; /* behind the bracket */
    for (size_t i = 0; i < count; i++) {
        if (!next_element(file->text, file->size, &span)) {
            problems_add(problems, line, 1, NULL, "case %zu of \"tests\" cannot be found in the text", i + 1);
            return false;
        }
        for (; counted < span.begin; counted++)
            line += file->text[counted] == '\n' ? 1 : 0;
        struct test_case *test = &cases->item[cases->count++];
        test->line = line;
        if (!read_case(test, json_array_get(list, i), file->text, &span, path, problems))
            return false;
    }
    return true;
}

static bool read_file(struct cases *cases, const struct json_file *file, const char *path, struct problems *problems)
{
    if (!is_one_case(file->json))
        return read_list(cases, file, json_object_get(file->json, "tests"), path, problems);
    struct json_span span;
    cases->item = calloc(1, sizeof *cases->item);
    if (cases->item == NULL || !json_text_find(file->text, file->size, "", &span)) {
        out_of_memory(problems, NULL);
        return false;
    }
    int column;
    cases->count = 1;
    json_text_position(file->text, span.begin, &cases->item[0].line, &column);
    return read_case(&cases->item[0], file->json, file->text, &span, path, problems);
}

bool cases_parse(struct cases *cases, const char *text, size_t size, const char *path, bool rules_file,
                 struct problems *problems)
{
    *cases = (struct cases){NULL, 0};
    size_t before = problems->count;
    struct json_file file;
    if (!json_file_parse(&file, text, size, problems))
        return false;
    if (!rules_file)
        check_file(file.json, problems);
    bool fine = problems->count == before;
    if (!fine)
        json_file_locate(&file, problems);
    else
        fine = read_file(cases, &file, path, problems);
    if (!fine)
        cases_fini(cases);
    json_file_fini(&file);
    return fine;
}

bool cases_load(struct cases *cases, const char *path, struct problems *problems)
{
    *cases = (struct cases){NULL, 0};
    size_t size;
    char *text = json_file_read(path, CASES_FILE_BYTES_MAX, &size, problems);
    bool fine = text != NULL && cases_parse(cases, text, size, path, false, problems);
    free(text);
    return fine;
}

void cases_fini(struct cases *cases)
{
    for (size_t i = 0; i < cases->count; i++) {
        struct test_case *test = &cases->item[i];
        free(test->name);
        event_record_fini(&test->record);
        json_decref(test->groups);
        json_decref(test->rules);
    }
    free(cases->item);
    *cases = (struct cases){NULL, 0};
}
