/*
 * table_tool.c - libquash's table behind a line protocol, for tests in other languages. Only the public headers.
 *
 *     table_tool serve PATH BUCKETS      becomes the worker; table_tool open PATH: maps for writing
 *
 * Each line on standard input is a command; each gets one line of output. Groups are in hexadecimal, since they may
 * hold any byte.
 *
 *     cancel HEX...         the status, 0 for success
 *     stamp                 INCARNATION SEQUENCE
 *     changed SEQ HEX...    the reason: 0 unchanged, 1 changed, 2 collateral, 3 unknown
 *     info                  SEQUENCE CHANGES SLOTS_USED BUCKETS_OVERFLOWED RETIRED SAME_BOOT
 *     refresh               the status, and 1 if the table was replaced
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quash/table.h>
#include <quash/token.h>

#define LINE_SIZE  65536
#define GROUPS_MAX 64

/* Decodes one word in place; false if it is not hexadecimal. */
static bool decode(char *word)
{
    size_t length = strlen(word);
    if (length % 2 != 0)
        return false;
    for (size_t i = 0; i < length; i += 2) {
        char digits[3] = {word[i], word[i + 1], '\0'};
        char *end;
        unsigned long byte = strtoul(digits, &end, 16);
        if (*end != '\0')
            return false;
        word[i / 2] = (char)byte;
    }
    word[length / 2] = '\0';
    return true;
}

/* The rest of the line as groups. */
static size_t read_groups(const char *groups[GROUPS_MAX])
{
    size_t count = 0;
    for (char *word; count < GROUPS_MAX && (word = strtok(NULL, " \n")) != NULL;) {
        if (!decode(word))
            exit(2);
        groups[count++] = word;
    }
    return count;
}

static int changed_since(quash_table *table, uint64_t sequence, const char *const *groups, size_t count)
{
    quash_stamp stamp = {quash_table_stamp(table).incarnation, sequence};
    quash_token *token;
    if (quash_token_new_at(table, stamp, &token) != QUASH_OK)
        exit(3);
    for (size_t i = 0; i < count; i++)
        if (quash_token_add(token, groups[i]) != QUASH_OK)
            exit(3);
    int reason = (int)quash_token_check(token);
    quash_token_free(token);
    return reason;
}

static void obey(quash_table *table, char *line)
{
    const char *groups[GROUPS_MAX];
    const char *word = strtok(line, " \n");
    const char *command = word == NULL ? "" : word;
    if (strcmp(command, "cancel") == 0) {
        size_t count = read_groups(groups);
        printf("%d\n", (int)quash_table_cancel_batch(table, groups, count));
    } else if (strcmp(command, "stamp") == 0) {
        quash_stamp stamp = quash_table_stamp(table);
        printf("%" PRIu64 " %" PRIu64 "\n", stamp.incarnation, stamp.sequence);
    } else if (strcmp(command, "changed") == 0) {
        const char *sequence = strtok(NULL, " \n");
        size_t count = read_groups(groups);
        printf("%d\n", changed_since(table, sequence == NULL ? 0 : strtoull(sequence, NULL, 10), groups, count));
    } else if (strcmp(command, "info") == 0) {
        quash_table_info info = QUASH_TABLE_INFO_INIT;
        quash_table_get_info(table, &info);
        printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %d %d\n", info.sequence, info.changes, info.slots_used,
               info.buckets_overflowed, info.retired, info.same_boot);
    } else if (strcmp(command, "refresh") == 0) {
        bool replaced = false;
        quash_status status = quash_table_refresh(table, &replaced, NULL);
        printf("%d %d\n", (int)status, replaced);
    } else {
        puts("?");
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static char line[LINE_SIZE];
    quash_table *table = NULL;
    quash_error error = {""};
    quash_status status = QUASH_INVALID;
    bool fresh = false;
    if (argc == 4 && strcmp(argv[1], "serve") == 0) {
        quash_table_serve_options options = QUASH_TABLE_SERVE_OPTIONS_INIT;
        options.buckets = strtoull(argv[3], NULL, 10);
        status = quash_table_serve(argv[2], &options, &table, &fresh, &error);
    } else if (argc == 3 && strcmp(argv[1], "open") == 0) {
        quash_table_options options = QUASH_TABLE_OPTIONS_INIT;
        options.writable = true;
        options.must_exist = true;
        status = quash_table_open(argv[2], &options, &table, &error);
    }
    printf("%d %d %s\n", (int)status, fresh, error.message);
    fflush(stdout);
    if (status != QUASH_OK)
        return 1;
    while (fgets(line, sizeof line, stdin) != NULL)
        obey(table, line);
    quash_table_close(table);
    return 0;
}
