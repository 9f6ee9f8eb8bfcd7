/* Notices: exactly one for each wait, and a descriptor that is readable exactly while there is one to take. */
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "load_support.h"

enum { FAILURE = QUASH_STATUS_USER + 2 };

static quash_notifier *new_notifier(void)
{
    quash_notifier *notifier = NULL;
    assert_int_equal(quash_notifier_new(&notifier), QUASH_OK);
    return notifier;
}

static bool readable(const quash_notifier *notifier)
{
    struct pollfd fd = {.fd = quash_notifier_fd(notifier), .events = POLLIN};
    return poll(&fd, 1, 0) == 1;
}

static quash_fill *load(quash_cache *cache)
{
    quash_fill *fill = NULL;
    assert_int_equal(quash_fill_begin(cache, "key", 3, &fill), QUASH_OK);
    return fill;
}

static void wait_for_it(quash_cache *cache, quash_notifier *notifier, void *tag)
{
    quash_entry *entry;
    quash_fill *fill;
    assert_int_equal(quash_cache_get_or_begin(cache, "key", 3, notifier, tag, &entry, &fill), QUASH_BUSY);
}

static void commit_text(quash_fill *fill, const char *text)
{
    assert_int_equal(quash_fill_set_bytes(fill, text, strlen(text)), QUASH_OK);
    assert_int_equal(quash_fill_commit(fill, NULL, NULL), QUASH_OK);
}

/* Takes the next notice, which must have this tag and status, and this text if the status is QUASH_OK. */
static void assert_next(quash_notifier *notifier, const void *tag, int status, const char *text)
{
    quash_notice notice;
    assert_true(readable(notifier));
    assert_true(quash_notifier_next(notifier, &notice));
    assert_ptr_equal(notice.tag, tag);
    assert_int_equal(notice.status, status);
    if (status == QUASH_OK)
        assert_true(entry_is_text(notice.entry, text));
    else
        assert_null(notice.entry);
    quash_entry_release(notice.entry);
}

static void assert_no_more(quash_notifier *notifier)
{
    quash_notice notice;
    assert_false(readable(notifier));
    assert_false(quash_notifier_next(notifier, &notice));
}

/* ---- One notice a wait ---- */

static void a_value_comes_once(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_notifier *notifier = new_notifier();
    int tag;
    assert_no_more(notifier);
    quash_fill *fill = load(cache);
    wait_for_it(cache, notifier, &tag);
    assert_no_more(notifier);
    commit_text(fill, "value");
    assert_next(notifier, &tag, QUASH_OK, "value");
    assert_no_more(notifier);
    assert_int_equal(stats_of(cache).waits, 1);
    quash_notifier_free(notifier);
    quash_cache_free(cache);
}

static void so_does_a_failure_and_an_absence(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_notifier *notifier = new_notifier();
    int tag;
    quash_fill *fill = load(cache);
    wait_for_it(cache, notifier, &tag);
    quash_fill_abandon(fill, (quash_status)FAILURE);
    assert_next(notifier, &tag, FAILURE, NULL);

    fill = load(cache);
    wait_for_it(cache, notifier, &tag);
    assert_int_equal(quash_fill_commit(fill, NULL, NULL), QUASH_LOAD_FAILED);
    assert_next(notifier, &tag, QUASH_LOAD_FAILED, NULL);

    fill = load(cache);
    wait_for_it(cache, notifier, &tag);
    assert_int_equal(quash_fill_set_absent(fill), QUASH_OK);
    assert_int_equal(quash_fill_commit(fill, NULL, NULL), QUASH_ABSENT);
    assert_next(notifier, &tag, QUASH_ABSENT, NULL);
    assert_no_more(notifier);
    quash_notifier_free(notifier);
    quash_cache_free(cache);
}

enum voiding { BY_REMOVE, BY_CLEAR, BY_PUT, BY_CANCEL, BY_GROUP, VOIDINGS };

static void a_voided_load_is_told_once_and_when_it_is_voided(void **state)
{
    (void)state;
    for (enum voiding how = BY_REMOVE; how < VOIDINGS; how++) {
        quash_cache *cache = new_cache();
        quash_notifier *notifier = new_notifier();
        int tag;
        quash_fill *fill = load(cache);
        assert_int_equal(quash_fill_add_group(fill, "tenant:42"), QUASH_OK);
        wait_for_it(cache, notifier, &tag);
        if (how == BY_REMOVE)
            quash_cache_remove(cache, "key", 3);
        if (how == BY_CLEAR)
            quash_cache_clear(cache);
        if (how == BY_PUT)
            assert_int_equal(put_text(cache, "key", "put", NULL), QUASH_OK);
        if (how == BY_CANCEL)
            quash_table_cancel(quash_cache_table(cache), "tenant:42");
        if (how == BY_GROUP)
            assert_int_equal(quash_fill_add_group(fill, ""), QUASH_INVALID);
        /* What is cancelled is found out when the load ends; the others need not wait for that. */
        if (how >= BY_CANCEL)
            assert_no_more(notifier);
        else
            assert_next(notifier, &tag, QUASH_VOIDED, NULL);
        commit_text(fill, "loaded");
        if (how >= BY_CANCEL)
            assert_next(notifier, &tag, QUASH_VOIDED, NULL);
        assert_no_more(notifier);
        assert_int_equal(hits(cache, "key"), how == BY_PUT);
        quash_notifier_free(notifier);
        quash_cache_free(cache);
    }
}

static void the_descriptor_is_readable_exactly_while_there_are_notices(void **state)
{
    (void)state;
    enum { WAITS = 5 };
    quash_cache *cache = new_cache();
    quash_notifier *notifier = new_notifier();
    int tags[WAITS];
    for (int round = 0; round < 3; round++) {
        quash_fill *fill = load(cache);
        for (int i = 0; i < WAITS; i++)
            wait_for_it(cache, notifier, &tags[i]);
        commit_text(fill, "value");
        for (int i = 0; i < WAITS; i++)
            assert_next(notifier, &tags[i], QUASH_OK, "value"); /* in the order in which they were asked */
        assert_no_more(notifier);
        quash_cache_clear(cache);
    }
    quash_notifier_free(notifier);
    quash_cache_free(cache);
}

static void each_of_several_notifiers_gets_its_own(void **state)
{
    (void)state;
    enum { NOTIFIERS = 3, WAITS = 4 };
    quash_cache *cache = new_cache();
    quash_notifier *notifiers[NOTIFIERS];
    int tags[NOTIFIERS][WAITS];
    quash_fill *fill = load(cache);
    for (int i = 0; i < NOTIFIERS; i++)
        notifiers[i] = new_notifier();
    for (int wait = 0; wait < WAITS; wait++)
        for (int i = 0; i < NOTIFIERS; i++)
            wait_for_it(cache, notifiers[i], &tags[i][wait]);
    commit_text(fill, "value");
    for (int i = 0; i < NOTIFIERS; i++) {
        for (int wait = 0; wait < WAITS; wait++)
            assert_next(notifiers[i], &tags[i][wait], QUASH_OK, "value");
        assert_no_more(notifiers[i]);
        quash_notifier_free(notifiers[i]);
    }
    quash_cache_free(cache);
}

static void a_notices_entry_outlives_the_cache(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_notifier *notifier = new_notifier();
    quash_fill *fill = load(cache);
    wait_for_it(cache, notifier, NULL);
    struct counted object = {0};
    assert_int_equal(quash_fill_set_object(fill, &object, counted_destroy, NULL, 1), QUASH_OK);
    assert_int_equal(quash_fill_commit(fill, NULL, NULL), QUASH_OK);
    quash_cache_free(cache);
    assert_int_equal(object.destroyed, 0);
    quash_notice notice;
    assert_true(quash_notifier_next(notifier, &notice));
    assert_ptr_equal(quash_entry_object(notice.entry), &object);
    quash_entry_release(notice.entry);
    assert_int_equal(object.destroyed, 1);
    quash_notifier_free(notifier);
}

/* ---- Waiting no more ---- */

static void what_is_forgotten_before_the_answer_does_not_come(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_notifier *notifier = new_notifier();
    int kept, forgotten;
    quash_fill *fill = load(cache);
    wait_for_it(cache, notifier, &forgotten);
    wait_for_it(cache, notifier, &kept);
    wait_for_it(cache, notifier, &forgotten);
    quash_notifier_forget(notifier, &forgotten);
    quash_notifier_forget(notifier, &forgotten);
    commit_text(fill, "value");
    assert_next(notifier, &kept, QUASH_OK, "value");
    assert_no_more(notifier);
    quash_notifier_free(notifier);
    quash_cache_free(cache);
}

static void what_is_forgotten_after_the_answer_is_let_go(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_notifier *notifier = new_notifier();
    struct counted object = {0};
    int kept, forgotten;
    quash_fill *fill = load(cache);
    wait_for_it(cache, notifier, &forgotten);
    wait_for_it(cache, notifier, &kept);
    assert_int_equal(quash_fill_set_object(fill, &object, counted_destroy, NULL, 1), QUASH_OK);
    assert_int_equal(quash_fill_commit(fill, NULL, NULL), QUASH_OK);
    assert_true(readable(notifier));
    quash_notifier_forget(notifier, &forgotten);
    assert_true(readable(notifier));
    quash_notifier_forget(notifier, &kept);
    assert_no_more(notifier);
    assert_true(quash_cache_remove(cache, "key", 3));
    assert_int_equal(object.destroyed, 1); /* nobody holds it any more */
    quash_notifier_forget(NULL, &kept);
    quash_notifier_free(notifier);
    quash_cache_free(cache);
}

static void a_notifier_may_be_freed_while_loads_are_waited_for(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    struct counted object = {0};
    quash_notifier *notifier = new_notifier(), *other = new_notifier();
    int tag;
    quash_fill *fill = load(cache);
    wait_for_it(cache, notifier, &tag);
    wait_for_it(cache, other, &tag);
    wait_for_it(cache, notifier, &tag);
    quash_notifier_free(notifier);
    assert_int_equal(quash_fill_set_object(fill, &object, counted_destroy, NULL, 1), QUASH_OK);
    assert_int_equal(quash_fill_commit(fill, NULL, NULL), QUASH_OK);
    quash_notifier_free(other); /* with a notice that nobody has taken */
    quash_cache_free(cache);
    assert_int_equal(object.destroyed, 1);
    quash_notifier_free(NULL);
}

static void a_cache_may_be_freed_before_the_notifier(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    quash_notifier *notifier = new_notifier();
    int tag;
    quash_fill *fill = load(cache);
    wait_for_it(cache, notifier, &tag);
    quash_fill_abandon(fill, QUASH_OK);
    quash_cache_free(cache);
    assert_next(notifier, &tag, QUASH_LOAD_FAILED, NULL);
    quash_notifier_free(notifier);
}

static void invalid_arguments_are_refused(void **state)
{
    (void)state;
    quash_notice notice;
    quash_notifier *notifier = new_notifier();
    assert_int_equal(quash_notifier_new(NULL), QUASH_INVALID);
    assert_false(quash_notifier_next(NULL, &notice));
    assert_false(quash_notifier_next(notifier, NULL));
    quash_notifier_free(notifier);
}

/* ---- Fills that end on other threads ---- */

enum { ROUNDS = 300, LOOPS = 2, KEYS = 8 };

struct loop {
    quash_cache *cache;
    struct pool *pool;
    _Atomic int *loads;
    int hits;
    int told;
    int voided;
};

struct job {
    quash_fill *fill;
    int key;
    _Atomic int *loads;
};

static void job_run(void *argument)
{
    struct job *job = argument;
    atomic_fetch_add(job->loads, 1);
    if (quash_fill_set_bytes(job->fill, &job->key, sizeof job->key) != QUASH_OK ||
        quash_fill_commit(job->fill, NULL, NULL) != QUASH_OK)
        support_fail("no commit");
    free(job);
}

static void loop_start_query(const struct loop *loop, quash_fill *fill, int key)
{
    struct job *job = malloc(sizeof *job);
    if (job == NULL)
        support_fail("no memory");
    *job = (struct job){fill, key, loop->loads};
    if (!execute_on_pool(job_run, job, loop->pool))
        support_fail("no pool");
}

static void check_and_release(quash_entry *entry, int key)
{
    if (memcmp(quash_entry_bytes(entry), &key, sizeof key) != 0)
        support_fail("a wrong value");
    quash_entry_release(entry);
}

/* Takes what there is; waits for the descriptor if `pending` are still to come. */
static int loop_take(struct loop *loop, quash_notifier *notifier, int pending)
{
    quash_notice notice;
    while (quash_notifier_next(notifier, &notice)) {
        pending--;
        loop->told++;
        if (notice.status == QUASH_OK)
            check_and_release(notice.entry, (int)(intptr_t)notice.tag);
        else if (notice.status == QUASH_VOIDED)
            loop->voided++;
        else
            support_fail("a wrong status");
    }
    struct pollfd fd = {.fd = quash_notifier_fd(notifier), .events = POLLIN};
    if (pending > 0 && poll(&fd, 1, SUPPORT_PATIENCE_MS) != 1)
        support_fail("a notice is lost");
    return pending;
}

static void *loop_run(void *context)
{
    struct loop *loop = context;
    quash_notifier *notifier;
    if (quash_notifier_new(&notifier) != QUASH_OK)
        support_fail("no notifier");
    for (int round = 0; round < ROUNDS; round++) {
        int pending = 0;
        for (int key = 0; key < KEYS; key++) {
            quash_entry *entry;
            quash_fill *fill;
            /* The tag is a number: the library does not look behind it. */
            switch (quash_cache_get_or_begin(loop->cache, &key, sizeof key, notifier, (void *)(intptr_t)key, &entry,
                                             &fill)) {
            case QUASH_OK:
                loop->hits++;
                check_and_release(entry, key);
                break;
            case QUASH_MISS:
                loop_start_query(loop, fill, key);
                break;
            case QUASH_BUSY:
                pending++;
                break;
            default:
                support_fail("a wrong answer");
            }
        }
        if (round % 2 == 0)
            quash_cache_remove(loop->cache, &(int){round % KEYS}, sizeof(int));
        while (pending > 0)
            pending = loop_take(loop, notifier, pending);
    }
    struct pollfd fd = {.fd = quash_notifier_fd(notifier), .events = POLLIN};
    if (poll(&fd, 1, 0) != 0)
        support_fail("a notice that nobody waits for");
    quash_notifier_free(notifier);
    return NULL;
}

static void loops_hear_of_what_pools_load_exactly_once(void **state)
{
    (void)state;
    _Atomic int loads = 0;
    quash_cache *cache = new_cache();
    struct pool *pool = pool_new(2);
    struct loop loops[LOOPS];
    pthread_t threads[LOOPS];
    for (int i = 0; i < LOOPS; i++) {
        loops[i] = (struct loop){.cache = cache, .pool = pool, .loads = &loads};
        threads[i] = thread_start(loop_run, &loops[i]);
    }
    int told = 0;
    for (int i = 0; i < LOOPS; i++) {
        thread_join(threads[i]);
        told += loops[i].told;
    }
    pool_free(pool);
    quash_cache_stats stats = stats_of(cache);
    assert_int_equal(stats.waits, told);
    assert_int_equal(stats.loads, loads);
    assert_int_equal(stats.hits + stats.misses_absent, LOOPS * ROUNDS * KEYS);
    assert_int_equal(stats.misses_absent, loads + told);
    quash_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_comes_once),
        cmocka_unit_test(so_does_a_failure_and_an_absence),
        cmocka_unit_test(a_voided_load_is_told_once_and_when_it_is_voided),
        cmocka_unit_test(the_descriptor_is_readable_exactly_while_there_are_notices),
        cmocka_unit_test(each_of_several_notifiers_gets_its_own),
        cmocka_unit_test(a_notices_entry_outlives_the_cache),
        cmocka_unit_test(what_is_forgotten_before_the_answer_does_not_come),
        cmocka_unit_test(what_is_forgotten_after_the_answer_is_let_go),
        cmocka_unit_test(a_notifier_may_be_freed_while_loads_are_waited_for),
        cmocka_unit_test(a_cache_may_be_freed_before_the_notifier),
        cmocka_unit_test(invalid_arguments_are_refused),
        cmocka_unit_test(loops_hear_of_what_pools_load_exactly_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
