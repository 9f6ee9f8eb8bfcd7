/* Loads on the cache's executor: the time-outs hold for the caller whose load it is as well. */
#include "load_support.h"

enum { FAILURE = QUASH_STATUS_USER + 4 };

static quash_cache_options executor_options(quash_execute_fn *execute, void *context)
{
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.execute = execute;
    options.execute_context = context;
    options.load_on_executor = true;
    return options;
}

/* The source's cache is left to the caller to free. */
static void source_begin(struct source *source, const quash_cache_options *options)
{
    *source = (struct source){.cache = new_cache_with(options), .version = 1};
}

static quash_status load_thread(quash_fill *fill, void *context)
{
    (void)context;
    pthread_t self = pthread_self();
    return quash_fill_set_bytes(fill, &self, sizeof self);
}

static void a_load_runs_on_the_executors_thread(void **state)
{
    (void)state;
    struct pool *pool = pool_new(1);
    quash_cache_options options = executor_options(execute_on_pool, pool);
    quash_cache *cache = new_cache_with(&options);
    quash_entry *entry;
    pthread_t loader;
    assert_int_equal(quash_cache_get_or_load(cache, "key", 3, load_thread, NULL, NULL, &entry), QUASH_OK);
    memcpy(&loader, quash_entry_bytes(entry), sizeof loader);
    assert_false(pthread_equal(loader, pthread_self()));
    quash_entry_release(entry);
    assert_int_equal(stats_of(cache).loads, 1);
    assert_int_equal(stats_of(cache).waits, 1);
    pool_free(pool);
    quash_cache_free(cache);
}

static void the_hard_time_out_holds_for_the_caller_itself_and_its_value_is_kept(void **state)
{
    (void)state;
    struct later later = LATER_INIT;
    quash_cache_options options = executor_options(execute_later, &later);
    struct source source;
    source_begin(&source, &options);
    struct caller hasty = {.source = &source, .timeout_ms = 5};
    assert_int_equal(ask(&hasty), QUASH_TIMED_OUT);
    assert_int_equal(ask(&hasty), QUASH_TIMED_OUT); /* this one waits for the same load */
    assert_int_equal(later_count(&later), 1);
    assert_int_equal(stats_of(source.cache).waits, 2);
    assert_int_equal(stats_of(source.cache).waits_timed_out, 2);
    later_run(&later);
    assert_int_equal(cached_version(source.cache), 1);
    assert_int_equal(source.loads, 1);
    quash_cache_free(source.cache);
}

static void the_soft_time_out_holds_for_the_caller_itself(void **state)
{
    (void)state;
    struct later later = LATER_INIT;
    struct manual_clock clock = {50};
    quash_cache_options options = executor_options(execute_later, &later);
    options.clock_ms = manual_clock_ms;
    options.clock_context = &clock;
    options.ttl_ms = 10;
    options.fail_safe_ms = 1000;
    options.soft_timeout_ms = 5;
    struct source source;
    source_begin(&source, &options);
    int old = 0;
    quash_token *token;
    assert_int_equal(quash_token_new(quash_cache_table(source.cache), &token), QUASH_OK);
    assert_int_equal(quash_cache_put(source.cache, "key", 3, token, &old, sizeof old, NULL), QUASH_OK);
    quash_token_free(token);
    manual_clock_advance(&clock, 10);
    struct caller caller = {.source = &source};
    assert_int_equal(ask(&caller), QUASH_OK);
    assert_int_equal(caller.version, 0);
    assert_true(caller.stale);
    later_run(&later);
    assert_int_equal(cached_version(source.cache), 1);
    quash_cache_free(source.cache);
}

static void others_wait_for_the_queued_load(void **state)
{
    (void)state;
    enum { CALLERS = 5 };
    struct later later = LATER_INIT;
    quash_cache_options options = executor_options(execute_later, &later);
    struct source source;
    source_begin(&source, &options);
    struct caller callers[CALLERS];
    pthread_t threads[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.source = &source};
        threads[i] = thread_start(ask_thread, &callers[i]);
    }
    await_waits(source.cache, CALLERS);
    assert_int_equal(later_count(&later), 1);
    later_run(&later);
    for (int i = 0; i < CALLERS; i++) {
        thread_join(threads[i]);
        assert_int_equal(callers[i].version, 1);
    }
    assert_int_equal(source.loads, 1);
    quash_cache_free(source.cache);
}

static void an_executor_that_runs_at_once_will_do(void **state)
{
    (void)state;
    _Atomic int count = 0;
    quash_cache_options options = executor_options(execute_inline, &count);
    struct source source;
    source_begin(&source, &options);
    assert_int_equal(ask_now(&source), 1);
    assert_int_equal(ask_now(&source), 1);
    assert_int_equal(count, 1);
    assert_int_equal(source.loads, 1);
    quash_cache_free(source.cache);
}

static void where_the_executor_refuses_the_caller_loads_and_others_wait_for_that(void **state)
{
    (void)state;
    struct gate read = GATE_INIT, proceed = GATE_INIT;
    _Atomic int count = 0;
    quash_cache_options options = executor_options(execute_refused, &count);
    struct source source;
    source_begin(&source, &options);
    source.read = &read;
    source.proceed = &proceed;
    struct caller loader = {.source = &source}, waiter = {.source = &source};
    pthread_t loading = thread_start(ask_thread, &loader);
    gate_pass(&read);
    pthread_t waiting = thread_start(ask_thread, &waiter);
    await_waits(source.cache, 1);
    gate_open(&proceed);
    thread_join(loading);
    thread_join(waiting);
    assert_int_equal(loader.version, 1);
    assert_int_equal(waiter.version, 1);
    assert_int_equal(count, 1);
    assert_int_equal(source.loads, 1);
    quash_cache_free(source.cache);
}

static void a_voided_load_still_goes_to_its_caller_whose_loader_runs_once(void **state)
{
    (void)state;
    struct gate read = GATE_INIT, proceed = GATE_INIT;
    struct pool *pool = pool_new(1);
    quash_cache_options options = executor_options(execute_on_pool, pool);
    struct source source;
    source_begin(&source, &options);
    source.read = &read;
    source.proceed = &proceed;
    struct caller caller = {.source = &source};
    pthread_t asking = thread_start(ask_thread, &caller);
    gate_pass(&read);
    atomic_store(&source.version, 2);
    quash_cache_remove(source.cache, "key", 3);
    gate_open(&proceed);
    thread_join(asking);
    assert_int_equal(caller.version, 1); /* its read overlapped the change */
    assert_int_equal(source.loads, 1);
    assert_int_equal(cached_version(source.cache), -1);
    assert_int_equal(stats_of(source.cache).loads_voided, 1);
    pool_free(pool);
    quash_cache_free(source.cache);
}

static void who_waits_for_anothers_voided_load_loads_itself(void **state)
{
    (void)state;
    struct gate read = GATE_INIT, proceed = GATE_INIT;
    struct pool *pool = pool_new(2);
    quash_cache_options options = executor_options(execute_on_pool, pool);
    struct source source;
    source_begin(&source, &options);
    source.read = &read;
    source.proceed = &proceed;
    struct caller loader = {.source = &source}, waiter = {.source = &source};
    pthread_t loading = thread_start(ask_thread, &loader);
    gate_pass(&read);
    pthread_t waiting = thread_start(ask_thread, &waiter);
    await_waits(source.cache, 2);
    atomic_store(&source.version, 2);
    quash_cache_remove(source.cache, "key", 3);
    thread_join(waiting);
    assert_int_equal(waiter.version, 2);
    gate_open(&proceed);
    thread_join(loading);
    assert_int_equal(loader.version, 1);
    assert_int_equal(cached_version(source.cache), 2);
    assert_int_equal(source.loads, 2);
    pool_free(pool);
    quash_cache_free(source.cache);
}

static void a_failure_and_an_absence_reach_the_caller(void **state)
{
    (void)state;
    struct pool *pool = pool_new(1);
    quash_cache_options options = executor_options(execute_on_pool, pool);
    struct source source;
    source_begin(&source, &options);
    struct caller caller = {.source = &source};
    source.status = FAILURE;
    assert_int_equal(ask(&caller), FAILURE);
    source.status = QUASH_ABSENT;
    assert_int_equal(ask(&caller), QUASH_ABSENT);
    source.status = QUASH_OK;
    assert_int_equal(ask(&caller), QUASH_OK);
    assert_int_equal(source.loads, 3);
    pool_free(pool);
    quash_cache_free(source.cache);
}

static void the_context_is_copied_for_loads_that_outlive_the_call(void **state)
{
    (void)state;
    struct later later = LATER_INIT;
    quash_cache_options options = executor_options(execute_later, &later);
    quash_cache *cache = new_cache_with(&options);
    char text[] = "value";
    quash_get_options get_options = QUASH_GET_OPTIONS_INIT;
    get_options.load_timeout_ms = 1;
    get_options.context_size = sizeof text;
    quash_entry *entry;
    assert_int_equal(quash_cache_get_or_load(cache, "key", 3, load_text, text, &get_options, &entry), QUASH_TIMED_OUT);
    memset(text, 'x', sizeof text - 1);
    later_run(&later);
    assert_true(hits_text(cache, "key", "value"));

    assert_int_equal(quash_cache_get_or_load(cache, "k", 1, load_text, NULL, &get_options, &entry), QUASH_INVALID);
    quash_cache_free(cache);
}

static void without_an_executor_the_option_is_refused(void **state)
{
    (void)state;
    quash_cache_options options = QUASH_CACHE_OPTIONS_INIT;
    options.load_on_executor = true;
    quash_cache *cache = NULL;
    assert_int_equal(quash_cache_new(&options, &cache), QUASH_INVALID);
    assert_null(cache);
}

struct outer {
    quash_cache *cache;
    quash_status inner;
};

static quash_status load_around_another(quash_fill *fill, void *context)
{
    struct outer *outer = context;
    char text[] = "inner";
    quash_entry *entry = NULL;
    outer->inner = quash_cache_get_or_load(outer->cache, "inner", 5, load_text, text, NULL, &entry);
    quash_entry_release(entry);
    if (outer->inner != QUASH_OK)
        return outer->inner;
    if (quash_cache_get_or_load(outer->cache, "outer", 5, load_text, text, NULL, &entry) != QUASH_DEADLOCK)
        return QUASH_INVALID;
    return quash_fill_set_bytes(fill, "outer", 5);
}

static void a_loader_on_the_executor_may_load_other_keys_but_not_its_own(void **state)
{
    (void)state;
    struct pool *pool = pool_new(2);
    quash_cache_options options = executor_options(execute_on_pool, pool);
    quash_cache *cache = new_cache_with(&options);
    struct outer outer = {cache, QUASH_INVALID};
    quash_entry *entry;
    assert_int_equal(quash_cache_get_or_load(cache, "outer", 5, load_around_another, &outer, NULL, &entry), QUASH_OK);
    quash_entry_release(entry);
    assert_true(hits_text(cache, "inner", "inner"));
    assert_true(hits_text(cache, "outer", "outer"));
    pool_free(pool);
    quash_cache_free(cache);
}

/* ---- Many at once ---- */

enum { KEYS = 200, CALLERS = 6 };

struct crowd {
    quash_cache *cache;
    _Atomic int loads[KEYS];
    _Atomic int wrong;
};

struct crowd_key {
    struct crowd *crowd;
    int key;
};

static quash_status load_number(quash_fill *fill, void *context)
{
    struct crowd_key *wanted = context;
    atomic_fetch_add(&wanted->crowd->loads[wanted->key], 1);
    return quash_fill_set_bytes(fill, &wanted->key, sizeof wanted->key);
}

static void *ask_for_all(void *context)
{
    struct crowd *crowd = context;
    quash_get_options options = QUASH_GET_OPTIONS_INIT;
    options.load_timeout_ms = SUPPORT_PATIENCE_MS;
    options.context_size = sizeof(struct crowd_key);
    for (int key = 0; key < KEYS; key++) {
        struct crowd_key wanted = {crowd, key};
        quash_entry *entry = NULL;
        if (quash_cache_get_or_load(crowd->cache, &key, sizeof key, load_number, &wanted, &options, &entry) !=
                QUASH_OK ||
            memcmp(quash_entry_bytes(entry), &key, sizeof key) != 0)
            atomic_fetch_add(&crowd->wrong, 1);
        quash_entry_release(entry);
    }
    return NULL;
}

static void many_callers_of_many_keys_make_one_load_of_each(void **state)
{
    (void)state;
    static struct crowd crowd;
    struct pool *pool = pool_new(3);
    quash_cache_options options = executor_options(execute_on_pool, pool);
    crowd.cache = new_cache_with(&options);
    pthread_t threads[CALLERS];
    for (int i = 0; i < CALLERS; i++)
        threads[i] = thread_start(ask_for_all, &crowd);
    for (int i = 0; i < CALLERS; i++)
        thread_join(threads[i]);
    assert_int_equal(crowd.wrong, 0);
    for (int key = 0; key < KEYS; key++)
        assert_int_equal(crowd.loads[key], 1);
    pool_free(pool);
    quash_cache_free(crowd.cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_load_runs_on_the_executors_thread),
        cmocka_unit_test(the_hard_time_out_holds_for_the_caller_itself_and_its_value_is_kept),
        cmocka_unit_test(the_soft_time_out_holds_for_the_caller_itself),
        cmocka_unit_test(others_wait_for_the_queued_load),
        cmocka_unit_test(an_executor_that_runs_at_once_will_do),
        cmocka_unit_test(where_the_executor_refuses_the_caller_loads_and_others_wait_for_that),
        cmocka_unit_test(a_voided_load_still_goes_to_its_caller_whose_loader_runs_once),
        cmocka_unit_test(who_waits_for_anothers_voided_load_loads_itself),
        cmocka_unit_test(a_failure_and_an_absence_reach_the_caller),
        cmocka_unit_test(the_context_is_copied_for_loads_that_outlive_the_call),
        cmocka_unit_test(without_an_executor_the_option_is_refused),
        cmocka_unit_test(a_loader_on_the_executor_may_load_other_keys_but_not_its_own),
        cmocka_unit_test(many_callers_of_many_keys_make_one_load_of_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
