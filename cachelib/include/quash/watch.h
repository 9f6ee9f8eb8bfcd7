/*
 * quash/watch.h - being called when something changes, instead of asking.
 *
 * A watch calls back once after a token has changed, or a group was cancelled: to rebuild a routing table ahead of the
 * next request, to push to a browser, to wake an event loop. Nothing is polled: a thread of the table's handle, started
 * with the first watch and ended with the last, sleeps on the futex of the table's count of changes. (Only while no
 * table is attached does it look for one some forty times a second.)
 *
 * A cache does not need watches: a lookup refuses what was cancelled by itself, and at once. A watch comes a moment
 * later, when its thread has been scheduled; while cancellations come thick and fast it looks once a millisecond, less
 * often for several thousand watches. To be called each time, watch again, and that *before* reading what has changed:
 *
 *     static void routes_changed(quash_change change, void *context)
 *     {
 *         struct router *router = context;
 *         quash_watch_free(router->watch);
 *         quash_watch_group(router->table, "routes", routes_changed, router, &router->watch);
 *         router_build(router);
 *     }
 *
 * Threads: every function may be called from any thread, also from a callback. Callbacks must not close the table, and
 * must not wait for a thread that is freeing the watch that they belong to. They run with signals blocked, faults
 * excepted. After fork the child has no watching thread: it leaves the parent's watches alone, and opens tables of its
 * own.
 */
#ifndef QUASH_WATCH_H
#define QUASH_WATCH_H

#include <quash/export.h>
#include <quash/status.h>
#include <quash/table.h>
#include <quash/token.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quash_watch quash_watch;

/* Called exactly once, on the table's watching thread, with no lock of the library held; of several that are due at
 * once, in the order in which they were made. `change` says why, and is never QUASH_UNCHANGED. While it runs, other
 * watches of the table wait. */
typedef void quash_changed_fn(quash_change change, void *context);

/*
 * Watches a token: calls back once it has changed, also if it has already, or if its table is replaced. The token is
 * copied as it stands. *watch is the caller's until quash_watch_free, also after the callback; it is written before the
 * callback can run. The token's table must outlive it.
 * QUASH_NO_MEMORY, QUASH_SYSTEM (no thread could be started), QUASH_INVALID.
 */
QUASH_API quash_status quash_watch_token(const quash_token *token, quash_changed_fn *changed, void *context,
                                         quash_watch **watch);

/* The same for one group (copied), from now on. While no table is attached it calls back when one appears, with
 * QUASH_UNKNOWN: what was cancelled until then is not known. */
QUASH_API quash_status quash_watch_group(quash_table *table, const char *group, quash_changed_fn *changed,
                                         void *context, quash_watch **watch);

/* Ends a watch. Once this has returned its callback does not run and will not; from within that callback it returns
 * while it still runs. NULL is fine. */
QUASH_API void quash_watch_free(quash_watch *watch);

#ifdef __cplusplus
}
#endif

#endif
