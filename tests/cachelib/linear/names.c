/* See names.h. */
#include "names.h"

#include <stdio.h>

#include <quash/token.h>

#include "cache_support.h"

void name_write(char text[NAME_SIZE], unsigned name, unsigned number)
{
    if (name == NAME_ALL)
        snprintf(text, NAME_SIZE, "*");
    else if (name == NAME_KIND_A || name == NAME_KIND_B)
        snprintf(text, NAME_SIZE, name == NAME_KIND_A ? "a:*" : "b:*");
    else if (name == NAME_BARE)
        snprintf(text, NAME_SIZE, "bare");
    else if (name == NAME_UNRELATED)
        snprintf(text, NAME_SIZE, "unrelated:%u", number);
    else if (name < NAME_B)
        snprintf(text, NAME_SIZE, "a:%u", name - NAME_A);
    else
        snprintf(text, NAME_SIZE, "b:%u", name - NAME_B);
}

uint32_t names_implied(uint32_t groups)
{
    uint32_t names = groups | 1u << NAME_ALL;
    if (groups & 0xfu << NAME_A)
        names |= 1u << NAME_KIND_A;
    if (groups & 0xfu << NAME_B)
        names |= 1u << NAME_KIND_B;
    return names;
}

uint32_t names_draw_groups(uint64_t random)
{
    uint32_t groups = 0;
    for (unsigned count = (unsigned)(random % 5); count > 0; count--) {
        random >>= 8;
        groups |= 1u << (NAME_A + random % (NAME_BARE - NAME_A + 1));
    }
    return groups;
}

/* Whether a token of one group, which nothing but `*` implies, is unchanged by the cancellation of another. */
static bool are_apart(quash_table *table, const char *group, const char *other)
{
    quash_token *token;
    if (quash_token_new(table, &token) != QUASH_OK || quash_token_add(token, group) != QUASH_OK ||
        quash_table_cancel(table, other) != QUASH_OK)
        support_fail("names cannot be compared");
    bool apart = !quash_token_changed(token);
    quash_token_free(token);
    return apart;
}

bool names_are_apart(quash_table *table)
{
    char text[NAMES + UNRELATED][NAME_SIZE];
    unsigned count = 0;
    for (unsigned name = 0; name < NAME_UNRELATED; name++)
        name_write(text[count++], name, 0);
    for (unsigned number = 0; number < UNRELATED; number++)
        name_write(text[count++], NAME_UNRELATED, number);
    for (unsigned i = NAME_KIND_A; i < NAME_UNRELATED; i++) {
        for (unsigned other = 1; other < count; other++) {
            bool implied = (i >= NAME_A && i < NAME_B && other == NAME_KIND_A) ||
                           (i >= NAME_B && i < NAME_BARE && other == NAME_KIND_B);
            if (other != i && !implied && !are_apart(table, text[i], text[other]))
                return false;
        }
    }
    return true;
}
