/*
 * profile_cache.c - how a service uses libquash. This is the file to copy from.
 */
#include "profile_cache.h"

#include <stdio.h>
#include <stdlib.h>

struct profile_cache {
    quash_table *table;
    quash_cache *cache;
    struct profile_db *db;
    struct gate *gate;
};

struct profile_cache *profile_cache_open(const char *table_path, struct profile_db *db, struct gate *gate)
{
    struct profile_cache *cache = calloc(1, sizeof *cache);
    if (!cache) {
        fputs("profile-service: out of memory\n", stderr);
        return NULL;
    }
    cache->db = db;
    cache->gate = gate;

    /* Writable, because this service cancels too. The table need not be there yet: until quashd has made it, nothing
     * is served from the cache. */
    quash_table_options table_options = QUASH_TABLE_OPTIONS_INIT;
    table_options.writable = true;
    quash_error error;
    if (quash_table_open(table_path, &table_options, &cache->table, &error) != QUASH_OK) {
        fprintf(stderr, "profile-service: %s\n", error.message);
        goto free_cache;
    }
    quash_cache_options cache_options = QUASH_CACHE_OPTIONS_INIT;
    cache_options.table = cache->table;
    if (quash_cache_new(&cache_options, &cache->cache) != QUASH_OK) {
        fputs("profile-service: out of memory\n", stderr);
        goto close_table;
    }
    return cache;

close_table:
    quash_table_close(cache->table);
free_cache:
    free(cache);
    return NULL;
}

void profile_cache_close(struct profile_cache *cache)
{
    if (!cache)
        return;
    quash_cache_free(cache->cache);
    quash_table_close(cache->table);
    free(cache);
}

struct load {
    struct profile_cache *cache;
    int64_t id;
    bool ran;
};

/*
 * Called on a miss. libquash has taken its stamp before this function began: whatever is cancelled from here on, the
 * value cannot be kept by mistake. So the groups may be named after the row was read, when the tenant and the region
 * are known.
 */
static quash_status load_profile(quash_fill *fill, void *context)
{
    struct load *load = context;
    load->ran = true;

    struct profile profile;
    const enum db_result result = profile_db_read(load->cache->db, load->id, &profile);
    if (result != DB_OK)
        return result == DB_NOT_FOUND ? PROFILE_UNKNOWN : QUASH_LOAD_FAILED;
    gate_pass(load->cache->gate); /* only the demo's: it can stop a load here, with the old row in hand */

    char user[GROUP_SIZE], tenant[GROUP_SIZE], region[GROUP_SIZE];
    snprintf(user, sizeof user, USER_GROUP, load->id);
    snprintf(tenant, sizeof tenant, TENANT_GROUP, profile.tenant_id);
    snprintf(region, sizeof region, REGION_GROUP, profile.region);
    const char *const groups[] = {user, tenant, region};

    quash_status status = quash_fill_set_bytes(fill, profile.json, profile.json_size);
    for (size_t i = 0; status == QUASH_OK && i < sizeof groups / sizeof groups[0]; i++)
        status = quash_fill_add_group(fill, groups[i]);
    profile_fini(&profile);
    return status;
}

quash_status profile_cache_get(struct profile_cache *cache, int64_t id, quash_entry **entry, bool *hit)
{
    struct load load = {.cache = cache, .id = id};
    const quash_status status = quash_cache_get_or_load(cache->cache, &id, sizeof id, load_profile, &load, NULL, entry);
    *hit = !load.ran;
    return status;
}

void profile_cache_cancel(struct profile_cache *cache, const char *group)
{
    /* Where the table cannot be written, this process at least must not serve what it knows to be old. */
    if (quash_table_cancel(cache->table, group) != QUASH_OK)
        quash_cache_clear(cache->cache);
}

void profile_cache_stats(struct profile_cache *cache, quash_cache_stats *stats, quash_table_info *info)
{
    *stats = (quash_cache_stats)QUASH_CACHE_STATS_INIT;
    quash_cache_get_stats(cache->cache, stats);
    *info = (quash_table_info)QUASH_TABLE_INFO_INIT;
    quash_table_get_info(cache->table, info);
}
