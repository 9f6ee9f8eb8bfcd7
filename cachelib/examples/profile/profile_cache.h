/*
 * profile_cache.h - profiles, from the cache while nothing that they were made from has changed, else from the
 * database.
 *
 * Threads: every function may be called from any thread, except profile_cache_close, which must be the last.
 */
#ifndef PROFILE_CACHE_H
#define PROFILE_CACHE_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>

#include <quash/cache.h>

#include "gate.h"
#include "profile_db.h"

/* What profiles depend on. Loader, handlers and rules.json must agree on these names. */
#define GROUP_SIZE   96u
#define USER_GROUP   "user:%" PRId64
#define TENANT_GROUP "tenant:%" PRId64
#define REGION_GROUP "region:%s"

#define PROFILE_UNKNOWN ((quash_status)QUASH_STATUS_USER) /* there is no such profile */

struct profile_cache;

/* Makes the cache, checked against the table at `table_path` that this host's quashd serves. `db` and `gate` are
 * borrowed. NULL on failure, explained on standard error. */
struct profile_cache *profile_cache_open(const char *table_path, struct profile_db *db, struct gate *gate);
void profile_cache_close(struct profile_cache *cache);

/* The profile as JSON; *entry is the caller's until quash_entry_release. *hit says that the database was not asked for
 * this call. PROFILE_UNKNOWN, or as quash_cache_get_or_load. */
quash_status profile_cache_get(struct profile_cache *cache, int64_t id, quash_entry **entry, bool *hit);

/* Declares everything that depends on `group` obsolete, for every process on this host. To be called when the change is
 * committed and before it is answered: whoever has seen the answer cannot be shown the old value. */
void profile_cache_cancel(struct profile_cache *cache, const char *group);

/* For /stats. *info is all zero while no table is attached. */
void profile_cache_stats(struct profile_cache *cache, quash_cache_stats *stats, quash_table_info *info);

#endif
