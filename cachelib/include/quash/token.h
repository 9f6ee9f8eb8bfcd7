/*
 * quash/token.h - change tokens: has anything that this value was made from changed since?
 *
 * A token is a stamp, taken before the data is read, and the groups that the result turned out to depend on. It *has
 * changed* once any of them is cancelled after the stamp; then it stays changed. Groups may be added after the data
 * was seen, without a race: what counts is the stamp. (The model is .NET's IChangeToken; unlike there, a token holds
 * no registration: making, checking and freeing one touch nothing shared but the table's memory.)
 *
 * Tokens work without a cache. To guard any derived structure:
 *
 *     quash_token *token;
 *     quash_token_new(table, &token);            // 1. the stamp
 *     build(&structure);                         // 2. read, parse, compile ...
 *     quash_token_add(token, "tenant:42");       // 3. what it was made from
 *     ...
 *     if (quash_token_changed(token))            // compares a count while nothing was cancelled
 *         { quash_token_restart(token); build(&structure); quash_token_add(token, "tenant:42"); }
 *
 * Threads: quash_token_changed and quash_token_check may be called by any number of threads at once; the others need
 * the token to themselves.
 */
#ifndef QUASH_TOKEN_H
#define QUASH_TOKEN_H

#include <stdbool.h>

#include <quash/export.h>
#include <quash/status.h>
#include <quash/table.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUASH_TOKEN_GROUPS_MAX 16u /* groups that one token can name; `kind:*` and `*` come on top */

typedef struct quash_token quash_token;

/* Why a token is no longer good. */
typedef enum quash_change {
    QUASH_UNCHANGED = 0,
    QUASH_CHANGED = 1,    /* one of its groups was cancelled or could not be named, or the table was replaced */
    QUASH_COLLATERAL = 2, /* the table no longer remembers enough to rule it out */
    QUASH_UNKNOWN = 3     /* the stamp was taken while no table was attached: nothing can be said, so not good */
} quash_change;

/* Makes a token whose stamp is now. `table` is borrowed and must outlive the token. *token is the caller's until
 * quash_token_free. QUASH_NO_MEMORY. With no table attached this succeeds, and the token counts as changed. */
QUASH_API quash_status quash_token_new(quash_table *table, quash_token **token);

/* The same with a stamp that was taken earlier, by this process or another one. One that the attached table has not
 * handed out, such as its predecessor's, makes a token that has changed. */
QUASH_API quash_status quash_token_new_at(quash_table *table, quash_stamp stamp, quash_token **token);

/* Adds a group (copied). Adding one twice is fine. QUASH_INVALID, QUASH_TOO_MANY. A token on which this failed counts
 * as changed until quash_token_restart: it would miss cancellations. */
QUASH_API quash_status quash_token_add(quash_token *token, const char *group);

/* Takes a new stamp and forgets the groups, for the next round of building. */
QUASH_API void quash_token_restart(quash_token *token);

/* Where the token's stamp stands. */
QUASH_API quash_stamp quash_token_stamp(const quash_token *token);

/* Whether the token has changed, for any reason. */
QUASH_API bool quash_token_changed(const quash_token *token);

/* The same, with the reason. */
QUASH_API quash_change quash_token_check(const quash_token *token);

/* NULL is fine. */
QUASH_API void quash_token_free(quash_token *token);

#ifdef __cplusplus
}
#endif

#endif
