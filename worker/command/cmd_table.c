/*
 * cmd_table.c - `quash table`: looks at a table, and asks it what changed.
 *
 * Each verb takes the table's path as its first operand. All verbs read their flags together, so that a flag may stand
 * anywhere; verb_flags says which of them a verb takes.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <quash/token.h>

#include "cmd.h"
#include "problem.h"
#include "quote.h"
#include "table_access.h"
#include "table_stat.h"

#define WHO "quash table"

static const char help_text[] = "Usage: quash table stat FILE [--json]\n"
                                "       quash table stamp FILE\n"
                                "       quash table changed FILE --since STAMP GROUP...\n"
                                "\n"
                                "stat     what state a cancellation table is in, and its worker.\n"
                                "stamp    where the table's sequence of cancellations stands now, as\n"
                                "         SEQUENCE@INCARNATION. Take it before reading what you derive something\n"
                                "         from; later, `changed` says whether that is still good.\n"
                                "changed  whether any of the groups was cancelled after the stamp, kind:* and *\n"
                                "         included. A line for each group: `unchanged`, `changed` or `collateral`\n"
                                "         (the table no longer remembers enough to rule it out: take it as\n"
                                "         changed). A stamp of another table, such as the one that was here\n"
                                "         before, always gives `changed`.\n"
                                "\n"
                                "  --since STAMP          what `stamp` printed; or only its SEQUENCE, which then\n"
                                "                         counts as one of the table that is there now\n"
                                "  --json                 stat as one JSON object\n" TABLE_ACCESS_HELP
                                "  --help                 print this and exit\n"
                                "\n"
                                "Exit codes:\n"
                                "  0  done, or unchanged\n"
                                "  1  changed, or collateral\n" TABLE_ACCESS_EXIT_CODES;

enum { FLAG_SINCE = OPTION_FIRST, FLAG_JSON };

struct request {
    const char *path;
    const char *since_text; /* NULL: not given */
    quash_stamp since;      /* what it says; incarnation 0: of the table that is there now */
    bool json;
    const char *const *groups;
    size_t group_count;
    quash_table_options access;
};

/* ---- Stamps as text ---- */

#define INCARNATION_DIGITS 16

/* SEQUENCE, in decimal. Returns what follows the digits; NULL if there are none, or too many. */
static const char *read_sequence(const char *text, uint64_t *sequence)
{
    size_t digits = strspn(text, "0123456789");
    *sequence = 0;
    for (size_t i = 0; i < digits; i++) {
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (*sequence > (UINT64_MAX - digit) / 10)
            return NULL;
        *sequence = *sequence * 10 + digit;
    }
    return digits > 0 ? text + digits : NULL;
}

static bool read_incarnation(const char *text, uint64_t *incarnation)
{
    size_t digits = strspn(text, "0123456789abcdefABCDEF");
    if (digits != INCARNATION_DIGITS || text[digits] != '\0')
        return false;
    *incarnation = 0;
    for (size_t i = 0; i < digits; i++) {
        char c = text[i];
        unsigned digit = c <= '9' ? (unsigned)(c - '0') : ((unsigned)c | 0x20u) - 'a' + 10u;
        *incarnation = *incarnation << 4 | digit;
    }
    return *incarnation != 0;
}

static bool read_stamp(const char *text, quash_stamp *stamp)
{
    const char *rest = read_sequence(text, &stamp->sequence);
    stamp->incarnation = 0;
    return rest != NULL && (*rest == '\0' || (*rest == '@' && read_incarnation(rest + 1, &stamp->incarnation)));
}

/* ---- The verbs ---- */

static enum exit_code verb_stat(const char *who, quash_table *table, const struct request *request)
{
    quash_table_info info = QUASH_TABLE_INFO_INIT;
    quash_status status = quash_table_get_info(table, &info);
    if (status != QUASH_OK)
        return table_access_failed(who, request->path, status);
    quash_table_source source;
    status = quash_table_get_source(table, &source);
    if (status != QUASH_OK)
        return table_access_failed(who, request->path, status);
    if (!request->json)
        table_stat_print(request->path, &info, &source, stdout);
    else if (!table_stat_print_json(request->path, &info, &source, stdout))
        return table_access_failed(who, request->path, QUASH_NO_MEMORY);
    return EXIT_DONE;
}

static enum exit_code verb_stamp(const char *who, quash_table *table, const struct request *request)
{
    quash_stamp stamp = quash_table_stamp(table);
    if (stamp.incarnation == 0)
        return table_access_failed(who, request->path, QUASH_DETACHED);
    printf("%llu@%016llx\n", (unsigned long long)stamp.sequence, (unsigned long long)stamp.incarnation);
    return EXIT_DONE;
}

static quash_status check_group(quash_table *table, quash_stamp stamp, const char *group, quash_change *change)
{
    quash_token *token;
    quash_status status = quash_token_new_at(table, stamp, &token);
    if (status != QUASH_OK)
        return status;
    status = quash_token_add(token, group);
    if (status == QUASH_OK)
        *change = quash_token_check(token);
    quash_token_free(token);
    return status;
}

static enum exit_code print_changes(const char *who, quash_table *table, const struct request *request,
                                    quash_stamp stamp)
{
    static const char *const word[] = {
        [QUASH_UNCHANGED] = "unchanged",
        [QUASH_CHANGED] = "changed",
        [QUASH_COLLATERAL] = "collateral",
        [QUASH_UNKNOWN] = "changed", /* the table went away meanwhile */
    };
    enum exit_code code = EXIT_DONE;
    for (size_t i = 0; i < request->group_count; i++) {
        const char *group = request->groups[i];
        quash_change change;
        quash_status status = check_group(table, stamp, group, &change);
        if (status != QUASH_OK)
            return table_access_failed(who, request->path, status);
        char shown[6 * QUASH_GROUP_MAX + 1];
        printf("%s %s\n", word[change], quote_bare(shown, sizeof shown, group, strlen(group)));
        if (change != QUASH_UNCHANGED)
            code = EXIT_NO;
    }
    return code;
}

static enum exit_code verb_changed(const char *who, quash_table *table, const struct request *request)
{
    quash_stamp now = quash_table_stamp(table), since = request->since;
    if (now.incarnation == 0)
        return table_access_failed(who, request->path, QUASH_DETACHED);
    if (since.incarnation == 0)
        since.incarnation = now.incarnation;
    if (since.incarnation == now.incarnation && since.sequence > now.sequence) {
        fprintf(stderr,
                "%s: --since: the table stands at %llu, and %llu is yet to come; was the stamp taken from another "
                "table?\n",
                who, (unsigned long long)now.sequence, (unsigned long long)since.sequence);
        return EXIT_BAD_INPUT;
    }
    return print_changes(who, table, request, since);
}

static const struct verb {
    const char *name, *who;
    bool takes_json, takes_groups; /* groups come with --since */
    enum exit_code (*run)(const char *who, quash_table *table, const struct request *request);
} verbs[] = {
    {"stat", WHO " stat", true, false, verb_stat},
    {"stamp", WHO " stamp", false, false, verb_stamp},
    {"changed", WHO " changed", false, true, verb_changed},
};
#define VERBS (sizeof verbs / sizeof verbs[0])

/* ---- The command line ---- */

static const struct verb *find_verb(const char *word)
{
    const char *known[VERBS + 1] = {NULL};
    for (size_t i = 0; i < VERBS; i++) {
        if (strcmp(word, verbs[i].name) == 0)
            return &verbs[i];
        known[i] = verbs[i].name;
    }
    const char *nearest = nearest_word(word, known);
    char quoted[QUOTE_SIZE];
    fprintf(stderr, WHO ": %s is none of stat, stamp and changed",
            quote_text(quoted, sizeof quoted, word, strlen(word)));
    if (nearest != NULL)
        fprintf(stderr, "; did you mean %s?", nearest);
    fputc('\n', stderr);
    return NULL;
}

/* Says on standard error what does not fit the verb. */
static bool request_fits(const struct verb *verb, struct request *request)
{
    char quoted[QUOTE_SIZE];
    if (request->path == NULL)
        fprintf(stderr, "%s: no table; name its file, such as /dev/shm/quash/web-1\n", verb->who);
    else if (request->json && !verb->takes_json)
        fprintf(stderr, "%s: --json belongs to stat\n", verb->who);
    else if (request->since_text != NULL && !verb->takes_groups)
        fprintf(stderr, "%s: --since belongs to changed\n", verb->who);
    else if (request->group_count > 0 && !verb->takes_groups)
        fprintf(stderr, "%s: one table at a time; %s is too much\n", verb->who,
                quote_text(quoted, sizeof quoted, request->groups[0], strlen(request->groups[0])));
    else if (request->since_text == NULL && verb->takes_groups)
        fprintf(stderr, "%s: since when? give --since STAMP, with what `quash table stamp` printed\n", verb->who);
    else if (request->group_count == 0 && verb->takes_groups)
        fprintf(stderr, "%s: no group; name at least one, such as tenant:42\n", verb->who);
    else if (request->since_text != NULL && !read_stamp(request->since_text, &request->since))
        fprintf(stderr, "%s: --since: %s is not a stamp; expected what `quash table stamp` prints, such as %s\n",
                verb->who, quote_text(quoted, sizeof quoted, request->since_text, strlen(request->since_text)),
                "1204@9f3c77aa12345678");
    else
        return true;
    return false;
}

static enum exit_code carry_out(const struct verb *verb, const struct request *request)
{
    if (!table_access_check_groups(verb->who, request->groups, request->group_count))
        return EXIT_BAD_INPUT;
    quash_table *table;
    enum exit_code code = table_access_open(verb->who, request->path, &request->access, &table);
    if (code != EXIT_DONE)
        return code;
    code = verb->run(verb->who, table, request);
    quash_table_close(table);
    return code;
}

int cmd_table(int argc, char **argv)
{
    static const struct option flags[] = {
        {"since", required_argument, NULL, FLAG_SINCE},
        {"json", no_argument, NULL, FLAG_JSON},
        TABLE_ACCESS_FLAGS,
        {"help", no_argument, NULL, OPTION_HELP},
        {NULL, 0, NULL, 0},
    };
    struct request request = {.access = QUASH_TABLE_OPTIONS_INIT};
    request.access.must_exist = true;

    int value;
    options_start();
    while ((value = options_next(argc, argv, flags, WHO, stderr)) != OPTION_END) {
        switch (value) {
        case FLAG_SINCE:
            request.since_text = optarg;
            break;
        case FLAG_JSON:
            request.json = true;
            break;
        case OPTION_ALLOW_SHARED_WRITE:
        case OPTION_ALLOW_ANY_OWNER:
            table_access_allow(value, &request.access);
            break;
        default:
            return options_end(value, help_text, WHO);
        }
    }
    if (optind == argc) {
        fputs(WHO ": say what to do: stat, stamp or changed\n", stderr);
        return options_refer_to_help(WHO, stderr);
    }
    const struct verb *verb = find_verb(argv[optind]);
    if (verb == NULL)
        return options_refer_to_help(WHO, stderr);
    if (argc - optind > 1) {
        request.path = argv[optind + 1];
        request.groups = (const char *const *)(argv + optind + 2);
        request.group_count = (size_t)(argc - optind - 2);
    }
    if (!request_fits(verb, &request))
        return options_refer_to_help(WHO, stderr);
    return (int)carry_out(verb, &request);
}
