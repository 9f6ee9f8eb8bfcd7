/* A program of somebody who has only the installed package. */
#include <quash/cache.h>
#include <stdio.h>
#include <string.h>

static quash_status load(quash_fill *fill, void *context)
{
    (void)context;
    quash_status status = quash_fill_add_group(fill, "greeting:1");
    return status != QUASH_OK ? status : quash_fill_set_bytes(fill, "hello", 5);
}

int main(void)
{
    quash_cache *cache;
    if (quash_cache_new(NULL, &cache) != QUASH_OK)
        return 1;
    quash_entry *entry;
    quash_status status = quash_cache_get_or_load(cache, "k", 1, load, NULL, NULL, &entry);
    if (status != QUASH_OK) {
        fprintf(stderr, "consumer: %s\n", quash_status_string(status));
        return 1;
    }
    int same = quash_entry_size(entry) == 5 && memcmp(quash_entry_bytes(entry), "hello", 5) == 0;
    quash_entry_release(entry);

    entry = quash_cache_get(cache, "k", 1);
    int hit = entry != NULL;
    quash_entry_release(entry);

    quash_table_cancel(quash_cache_table(cache), "greeting:*");
    int gone = quash_cache_get(cache, "k", 1) == NULL;
    quash_cache_free(cache);
    printf("value %d, hit %d, gone after its kind was cancelled %d\n", same, hit, gone);
    return same && hit && gone ? 0 : 1;
}
