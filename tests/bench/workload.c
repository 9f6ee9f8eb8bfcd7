/*
 * workload.c - see workload.h.
 *
 * Zipf by an alias table (Walker 1974, Vose 1991): one random number and one look at a table a draw, exact for any s.
 */
#include "workload.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

#define DRAWS_MAX ((size_t)1 << 22)
#define DRAWS_MIN ((size_t)1 << 18)
#define DRAWS_ALL ((size_t)1 << 26) /* of all threads */

/* Members that a group of each kind has on average. */
static const struct {
    const char *name;
    uint64_t members;
} kinds[GROUPS_MAX] = {
    {"tenant", 250}, {"region", 900},   {"plan", 700},     {"role", 500},     {"site", 400}, {"catalog", 300},
    {"brand", 350},  {"currency", 800}, {"team", 200},     {"store", 250},    {"tax", 600},  {"shelf", 300},
    {"season", 750}, {"language", 850}, {"contract", 220}, {"campaign", 450},
};

static void write_digits(char *end, size_t width, uint64_t number)
{
    for (; width > 0; width--, number /= 10)
        *--end = (char)('0' + number % 10);
}

void workload_key(const struct workload *workload, uint64_t number, char *key)
{
    static const char prefix[] = "user:";
    size_t used = workload->key_bytes >= KEY_BYTES_MIN + sizeof prefix - 1 ? sizeof prefix - 1 : 0;
    memcpy(key, prefix, used);
    write_digits(key + workload->key_bytes, workload->key_bytes - used, number);
}

void workload_rekey(const struct workload *workload, uint32_t number, char *key)
{
    static const char pairs[] = "0001020304050607080910111213141516171819202122232425262728293031323334353637383940"
                                "4142434445464748495051525354555657585960616263646566676869707172737475767778798081"
                                "828384858687888990919293949596979899";
    char *end = key + workload->key_bytes;
    for (int i = 0; i < 4; i++, number /= 100)
        memcpy(end -= 2, &pairs[number % 100 * 2], 2);
}

void workload_group(const struct workload *workload, uint64_t number, unsigned kind, char name[GROUP_NAME_SIZE])
{
    uint64_t count = workload->entries / kinds[kind].members + 1;
    uint64_t id = random_mix(number + 1 + ((uint64_t)kind << 40)) % count;
    size_t length = strlen(kinds[kind].name), digits = 1;
    for (uint64_t rest = id; rest >= 10; rest /= 10)
        digits++;
    memcpy(name, kinds[kind].name, length);
    name[length] = ':';
    write_digits(name + length + 1 + digits, digits, id);
    name[length + 1 + digits] = '\0';
}

void workload_value(const struct workload *workload, uint64_t number, uint64_t version, unsigned char *value)
{
    uint64_t word = number ^ version << 32;
    size_t at = 0;
    for (; at + sizeof word <= workload->value_bytes; at += sizeof word, word += UINT64_C(0x9e3779b97f4a7c15))
        memcpy(value + at, &word, sizeof word);
    memset(value + at, (int)version & 0xff, workload->value_bytes - at);
}

bool workload_add_groups(const struct workload *workload, uint64_t number, quash_token *token)
{
    for (unsigned kind = 0; kind < workload->groups; kind++) {
        char name[GROUP_NAME_SIZE];
        workload_group(workload, number, kind, name);
        if (quash_token_add(token, name) != QUASH_OK)
            return false;
    }
    return true;
}

/* ---- Zipf */

struct alias {
    uint32_t other; /* drawn instead of this rank ... */
    float keep;     /* ... with probability 1 - keep */
};

struct zipf {
    uint32_t entries;
    struct alias *alias;
    uint32_t *number_of_rank;
};

/* Vose's construction: ranks below the average share are filled up from those above it. */
static bool fill_alias(struct zipf *zipf, double s)
{
    uint32_t entries = zipf->entries;
    double *share = malloc(entries * sizeof *share), sum = 0;
    uint32_t *below = malloc(entries * sizeof *below), *above = malloc(entries * sizeof *above);
    uint32_t below_count = 0, above_count = 0;
    bool done = share != NULL && below != NULL && above != NULL;
    for (uint32_t i = 0; done && i < entries; i++)
        sum += share[i] = pow((double)i + 1, -s);
    for (uint32_t i = 0; done && i < entries; i++) {
        share[i] *= entries / sum;
        if (share[i] < 1)
            below[below_count++] = i;
        else
            above[above_count++] = i;
    }
    while (done && below_count > 0 && above_count > 0) {
        uint32_t low = below[--below_count], high = above[above_count - 1];
        zipf->alias[low] = (struct alias){high, (float)share[low]};
        share[high] -= 1 - share[low];
        if (share[high] < 1) {
            above_count--;
            below[below_count++] = high;
        }
    }
    /* What is left over on either side is an average share, but for rounding. */
    while (done && above_count > 0)
        zipf->alias[above[--above_count]] = (struct alias){0, 1};
    while (done && below_count > 0)
        zipf->alias[below[--below_count]] = (struct alias){0, 1};
    free(above);
    free(below);
    free(share);
    return done;
}

struct zipf *zipf_new(uint64_t entries, double s, uint64_t seed)
{
    struct zipf *zipf = calloc(1, sizeof *zipf);
    if (zipf == NULL)
        return NULL;
    zipf->entries = (uint32_t)entries;
    zipf->alias = malloc(entries * sizeof *zipf->alias);
    zipf->number_of_rank = malloc(entries * sizeof *zipf->number_of_rank);
    if (zipf->alias == NULL || zipf->number_of_rank == NULL || !fill_alias(zipf, s)) {
        zipf_free(zipf);
        return NULL;
    }
    for (uint32_t i = 0; i < zipf->entries; i++) { /* Fisher and Yates, inside out */
        uint32_t j = random_below(&seed, i + 1);
        zipf->number_of_rank[i] = zipf->number_of_rank[j];
        zipf->number_of_rank[j] = i;
    }
    return zipf;
}

void zipf_free(struct zipf *zipf)
{
    if (zipf == NULL)
        return;
    free(zipf->number_of_rank);
    free(zipf->alias);
    free(zipf);
}

static uint32_t zipf_draw(const struct zipf *zipf, uint64_t *random)
{
    uint32_t rank = random_below(random, zipf->entries);
    if (random_unit(random) >= (double)zipf->alias[rank].keep)
        rank = zipf->alias[rank].other;
    return zipf->number_of_rank[rank];
}

/* ---- Draws */

bool draws_init(struct draws *draws, const struct zipf *zipf, double write_percent, size_t threads, uint64_t seed)
{
    size_t count = DRAWS_MAX;
    while (count > DRAWS_MIN && count * threads > DRAWS_ALL)
        count /= 2;
    draws->count = count;
    draws->draw = malloc(count * sizeof *draws->draw);
    for (size_t i = 0; draws->draw != NULL && i < count; i++) {
        draws->draw[i] = zipf_draw(zipf, &seed);
        if (random_unit(&seed) * 100 < write_percent)
            draws->draw[i] |= DRAW_WRITE;
    }
    return draws->draw != NULL;
}

void draws_fini(struct draws *draws)
{
    free(draws->draw);
    *draws = (struct draws){0};
}
