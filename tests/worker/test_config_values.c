/*
 * test_config_values.c - what is a valid value of each setting, whichever place it comes from.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <quash/table.h>

#include "config.h"
#include "config_values.h"
#include "short_string.h"

static bool accepts(enum setting setting, const char *text)
{
    struct config config = {.amqp_url_count = 0};
    char problem[CONFIG_PROBLEM_SIZE] = "";
    bool good = config_set(&config, setting, text, problem);
    assert_true(good || strlen(problem) > 10);
    config_fini(&config);
    return good;
}

static void numbers_end_at_their_limits(void **state)
{
    (void)state;
    static const struct {
        enum setting setting;
        const char *below, *least, *most, *above;
    } limits[] = {
        {SETTING_PREFETCH, "0", "1", "65535", "65536"},
        {SETTING_QUEUE_EXPIRES_MS, "999", "1000", "4294967295", "4294967296"},
        {SETTING_TABLE_BUCKETS, "0", "1", "16777216", "33554432"},
    };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        assert_false(accepts(limits[i].setting, limits[i].below));
        assert_true(accepts(limits[i].setting, limits[i].least));
        assert_true(accepts(limits[i].setting, limits[i].most));
        assert_false(accepts(limits[i].setting, limits[i].above));
    }
    assert_int_equal(QUASH_TABLE_BUCKETS_MAX, 16777216);
}

static void numbers_are_decimal_digits_alone(void **state)
{
    (void)state;
    static const char *const none[] = {"",    " 5", "5 ",   "+5",  "-5",    "0x10",
                                       "1e3", "5.", "five", "5\n", "1_000", "18446744073709551617"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_false(accepts(SETTING_PREFETCH, none[i]));
        assert_false(accepts(SETTING_QUEUE_EXPIRES_MS, none[i]));
        assert_false(accepts(SETTING_TABLE_BUCKETS, none[i]));
    }
    assert_true(accepts(SETTING_PREFETCH, "0005"));
}

static void buckets_are_a_power_of_two(void **state)
{
    (void)state;
    struct config config = {.table_buckets = 0};
    char problem[CONFIG_PROBLEM_SIZE];
    assert_false(config_set(&config, SETTING_TABLE_BUCKETS, "16383", problem));
    assert_non_null(strstr(problem, "8192 and 16384"));
    assert_false(config_set(&config, SETTING_TABLE_BUCKETS, "16385", problem));
    assert_non_null(strstr(problem, "16384 and 32768"));
    assert_true(config_set(&config, SETTING_TABLE_BUCKETS, "16384", problem));
    assert_int_equal(config.table_buckets, 16384);
}

static void mode_lets_the_owner_read_and_write_and_nobody_execute(void **state)
{
    (void)state;
    static const char *const good[] = {"600", "0600", "0640", "644", "0666", "0660", "0602"};
    static const char *const bad[] = {"",     "0400", "0200", "0700",  "0601", "0650",  "0678", "06000",
                                      "4600", "60",   "rw",   "0x180", "1600", "0600 ", "-600"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(accepts(SETTING_TABLE_MODE, good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(accepts(SETTING_TABLE_MODE, bad[i]));
}

/* `length` letters */
static const char *letters(size_t length)
{
    static char text[8192];
    assert_true(length < sizeof text);
    memset(text, 'a', length);
    text[length] = '\0';
    return text;
}

static void names_and_paths_end_at_their_limits(void **state)
{
    (void)state;
    static const struct {
        enum setting setting;
        size_t most;
    } limits[] = {
        {SETTING_INSTANCE, CONFIG_INSTANCE_MAX},
        {SETTING_EXCHANGE, SHORT_STRING_BYTES_MAX},
        {SETTING_DEAD_LETTER_EXCHANGE, SHORT_STRING_BYTES_MAX},
        {SETTING_RULES, CONFIG_PATH_MAX},
        {SETTING_TABLE, CONFIG_PATH_MAX},
    };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        assert_false(accepts(limits[i].setting, ""));
        assert_true(accepts(limits[i].setting, "a"));
        assert_true(accepts(limits[i].setting, letters(limits[i].most - 1)));
        assert_true(accepts(limits[i].setting, letters(limits[i].most)));
        assert_false(accepts(limits[i].setting, letters(limits[i].most + 1)));
    }
}

static void instance_is_made_of_what_queues_and_files_can_be_called(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "9", "web-1", "web_1.example.org", "A.b-c_9"};
    static const char *const bad[] = {".", "..", ".hidden", "-x", "_x", "a/b", "a b", "a:b", "\xc3\xbc", "a\n", "a*"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(accepts(SETTING_INSTANCE, good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(accepts(SETTING_INSTANCE, bad[i]));
}

static void exchange_is_utf8(void **state)
{
    (void)state;
    assert_true(accepts(SETTING_EXCHANGE, "\xc3\xbc"
                                          "bung"));
    assert_false(accepts(SETTING_EXCHANGE, "\xfc"
                                           "bung"));
}

static void failed_set_changes_nothing(void **state)
{
    (void)state;
    struct config config = {.prefetch = 5};
    char problem[CONFIG_PROBLEM_SIZE];
    assert_true(config_set(&config, SETTING_INSTANCE, "kept", problem));
    assert_true(config_set(&config, SETTING_AMQP_URL, "amqp://kept", problem));
    assert_false(config_set(&config, SETTING_INSTANCE, "no good", problem));
    assert_false(config_set(&config, SETTING_PREFETCH, "0", problem));
    assert_false(config_set(&config, SETTING_AMQP_URL, "amqp://new,nonsense", problem));
    assert_string_equal(config.instance, "kept");
    assert_int_equal(config.prefetch, 5);
    assert_int_equal(config.amqp_url_count, 1);
    assert_string_equal(config.amqp_url[0], "amqp://kept");
    config_fini(&config);
}

static void hostname_that_many_hosts_bear_does_not_serve(void **state)
{
    (void)state;
    char problem[CONFIG_PROBLEM_SIZE];
    assert_true(config_hostname_serves("web-1", problem));
    assert_true(config_hostname_serves("db.example.org", problem));
    assert_false(config_hostname_serves("", problem));
    assert_false(config_hostname_serves("localhost", problem));
    assert_false(config_hostname_serves("localhost.localdomain", problem));
    assert_false(config_hostname_serves("(none)", problem));
    assert_false(config_hostname_serves("a b", problem));
}

static void urls_are_limited_in_number(void **state)
{
    (void)state;
    struct config config = {.amqp_url_count = 0};
    char list[32 * (CONFIG_URLS_MAX + 1)] = "", problem[CONFIG_PROBLEM_SIZE];
    for (unsigned count = 1; count <= CONFIG_URLS_MAX + 1; count++) {
        snprintf(list + strlen(list), sizeof list - strlen(list), "%samqp://h%u", count > 1 ? "," : "", count);
        bool good = config_set(&config, SETTING_AMQP_URL, list, problem);
        assert_int_equal(good, count <= CONFIG_URLS_MAX);
        assert_int_equal(config.amqp_url_count, good ? count : CONFIG_URLS_MAX);
    }
    assert_non_null(strstr(problem, "more than 16 URLs"));
    config_fini(&config);
}

static void empty_url_in_a_list_is_a_mistake(void **state)
{
    (void)state;
    static const char *const lists[] = {"", ",", "amqp://a,", ",amqp://a", "amqp://a,,amqp://b", " "};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct config config = {.amqp_url_count = 0};
        char problem[CONFIG_PROBLEM_SIZE];
        assert_false(config_set(&config, SETTING_AMQP_URL, lists[i], problem));
        assert_non_null(strstr(problem, "an empty URL"));
        assert_int_equal(config.amqp_url_count, 0);
    }
}

static void names_in_the_three_places_match(void **state)
{
    (void)state;
    for (size_t i = 0; i < SETTINGS; i++) {
        const struct setting_names *names = &setting_names[i];
        assert_int_equal(strncmp(names->variable, "QUASH_", 6), 0);
        assert_int_equal(strlen(names->flag), strlen(names->key));
        assert_int_equal(strlen(names->flag), strlen(names->variable + 6));
        for (size_t c = 0; names->flag[c] != '\0'; c++) {
            char joint = names->flag[c] == '-' ? '_' : names->flag[c];
            assert_int_equal(names->key[c], joint);
            assert_int_equal(names->variable[6 + c], joint >= 'a' && joint <= 'z' ? joint - 'a' + 'A' : joint);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_end_at_their_limits),
        cmocka_unit_test(numbers_are_decimal_digits_alone),
        cmocka_unit_test(buckets_are_a_power_of_two),
        cmocka_unit_test(mode_lets_the_owner_read_and_write_and_nobody_execute),
        cmocka_unit_test(names_and_paths_end_at_their_limits),
        cmocka_unit_test(instance_is_made_of_what_queues_and_files_can_be_called),
        cmocka_unit_test(exchange_is_utf8),
        cmocka_unit_test(failed_set_changes_nothing),
        cmocka_unit_test(hostname_that_many_hosts_bear_does_not_serve),
        cmocka_unit_test(urls_are_limited_in_number),
        cmocka_unit_test(empty_url_in_a_list_is_a_mistake),
        cmocka_unit_test(names_in_the_three_places_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
