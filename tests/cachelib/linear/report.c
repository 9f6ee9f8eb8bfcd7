/* See report.h. */
#include "report.h"

#include <stdio.h>

#define REPORTS_MAX 3u
#define LINES_MAX   60u

const char *const operation_names[OPERATIONS] = {
#define OPERATION_NAME(name, text) [DO_##name] = (text),
    OPERATION_MAP(OPERATION_NAME)
#undef OPERATION_NAME
};

static void print_status(const struct op *op)
{
    if (op->kind == DO_CONTAINS || op->kind == DO_REMOVE || op->kind == DO_MAINTAIN)
        printf(" -> %s", op->status ? "true" : "false");
    else if (op->status >= QUASH_STATUS_USER)
        printf(" -> failure of load %d", op->status - QUASH_STATUS_USER);
    else if (op->status != QUASH_OK)
        printf(" -> \"%s\"", quash_status_string((quash_status)op->status));
}

static void print_names(uint32_t names)
{
    for (unsigned name = 0; name < NAMES; name++) {
        char text[NAME_SIZE];
        name_write(text, name, 0);
        if (names & 1u << name)
            printf(" %s", text);
    }
}

static void print_op(const struct op *op)
{
    printf("    %7llu .. %-7llu thread %u  %-14s", (unsigned long long)op->began, (unsigned long long)op->ended,
           op->thread, operation_names[op->kind]);
    if (op->made != 0)
        printf(" makes %u", op->made);
    if (op->answer != 0)
        printf(" -> value %u%s", op->answer, op->stale ? ", standing in" : "");
    if (op->kind == DO_REPLACE)
        printf(" %s", op->stale ? "by another worker" : "by its worker");
    print_status(op);
    print_names(op->names);
    printf("   at %llu .. %llu ms\n", (unsigned long long)op->early_ms, (unsigned long long)op->late_ms);
}

static void print_value(const struct model *model, uint32_t number)
{
    static const char *const outcomes[] = {"still open", "a value", "absent", "failed", "refused"};
    static const char *const reasons[] = {"removed", "replaced", "expired", "cancelled", "for capacity"};
    static const char *const makings[] = {"loaded", "filled", "put"};
    const struct value *value = value_at(model->world, number);
    printf("  value %u of key %u, %s by thread %u: %s; depends on", number, value->key, makings[value->making],
           value->thread, outcomes[value->outcome]);
    print_names(value->depends);
    printf("\n    stamped %llu .. %llu, decided %llu .. %llu; its ttl of %lld ms counts from %llu .. %llu ms",
           (unsigned long long)value->stamp_early, (unsigned long long)value->stamp_late,
           (unsigned long long)value->end_early, (unsigned long long)value->end_late, (long long)value->ttl_ms,
           (unsigned long long)value->began_early_ms, (unsigned long long)value->began_late_ms);
    if (value->sliding_ms != QUASH_SLIDING_NONE)
        printf(", sliding %llu ms", (unsigned long long)value->sliding_ms);
    if (value->told != 0)
        printf("\n    told to have left (%s) at %llu, in a %s that began at %llu\n", reasons[value->told_reason],
               (unsigned long long)value->told_at,
               value->told_in == OPERATIONS ? "thread of the cache's own" : operation_names[value->told_in],
               (unsigned long long)value->told_after);
    else
        printf("\n    never told to have left\n");
}

/* Whether the line belongs to the story. */
static bool concerns(const struct op *op, unsigned key, uint32_t depends, instant from, instant to)
{
    if (op->ended < from || op->began > to)
        return false;
    if (op->kind == DO_CANCEL)
        return op->names & depends;
    if (op->kind == DO_MAINTAIN || op->kind == DO_STATS || op->kind == DO_ADVANCE)
        return false;
    return op->kind == DO_CLEAR || op->kind == DO_REPLACE || op->kind == DO_RETIRE || op->kind == DO_RESIZE ||
           op->key == key;
}

static void print_story(const struct model *model, const struct op *op, uint32_t number)
{
    const struct value *value = number == 0 ? NULL : value_at(model->world, number);
    unsigned key = value != NULL ? value->key : op->key;
    uint32_t depends = value != NULL ? value->depends : NAMES_OF_ANYTHING;
    instant from = value != NULL ? value->stamp_early : op->began;
    instant to = op != NULL ? op->ended : value->told != 0 ? value->told_at : value->end_late;
    if (to < from)
        from = to;
    size_t lines = 0, skip = 0;
    for (size_t i = 0; i < model->op_count; i++)
        lines += concerns(model->ops[i], key, depends, from, to);
    if (lines > LINES_MAX)
        skip = lines - LINES_MAX;
    printf("  key %u from %llu to %llu:\n", key, (unsigned long long)from, (unsigned long long)to);
    for (size_t i = 0, line = 0; i < model->op_count; i++) {
        if (!concerns(model->ops[i], key, depends, from, to))
            continue;
        /* Its beginning, and its end. */
        if (line < LINES_MAX / 4 || line >= LINES_MAX / 4 + skip)
            print_op(model->ops[i]);
        else if (line == LINES_MAX / 4)
            printf("    ... %zu lines\n", skip);
        line++;
    }
}

unsigned report(const struct model *model, unsigned *told, const struct op *op, uint32_t number, const char *format,
                ...)
{
    if ((*told)++ >= REPORTS_MAX)
        return 1;
    va_list arguments;
    va_start(arguments, format);
    printf("DIFFERENCE: ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    if (op != NULL) {
        printf("  the call:\n");
        print_op(op);
    }
    if (number != 0)
        print_value(model, number);
    if (op != NULL || number != 0)
        print_story(model, op, number);
    return 1;
}
