/*
 * test_broker_url.c - what is a usable URL of a broker, and what of it may be shown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker_url.h"

#define PROBLEM_SIZE 512

static void parts_are_decoded_and_defaults_filled_in(void **state)
{
    (void)state;
    static const struct {
        const char *url, *user, *password, *host, *port, *vhost;
    } examples[] = {
        {"amqp://h", "guest", "guest", "h", "5672", "/"},
        {"amqp://h/", "guest", "guest", "h", "5672", "/"},
        {"amqp://h/%2F", "guest", "guest", "h", "5672", "/"},
        {"AMQP://h/v", "guest", "guest", "h", "5672", "v"},
        {"amqp://h/%2fv%20w", "guest", "guest", "h", "5672", "/v w"},
        {"amqp://u:p@h:1/v", "u", "p", "h", "1", "v"},
        {"amqp://u@h:65535", "u", "guest", "h", "65535", "/"},
        {"amqp://u:@h", "u", "", "h", "5672", "/"},
        {"amqp://u%40x:p%2Fq%3a%40@h", "u@x", "p/q:@", "h", "5672", "/"},
        {"amqp://u:p@q@h", "u", "p@q", "h", "5672", "/"},
        {"amqp://u:a:b@h", "u", "a:b", "h", "5672", "/"},
        {"amqp://[::1]", "guest", "guest", "::1", "5672", "/"},
        {"amqp://u:p@[fe80::1]:5673/v", "u", "p", "fe80::1", "5673", "v"},
        {"amqp://h:05672", "guest", "guest", "h", "5672", "/"},
    };
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        struct broker_url url;
        char problem[PROBLEM_SIZE] = "";
        if (!broker_url_parse(examples[i].url, &url, problem, sizeof problem))
            fail_msg("%s: %s", examples[i].url, problem);
        assert_string_equal(url.user, examples[i].user);
        assert_string_equal(url.password, examples[i].password);
        assert_string_equal(url.host, examples[i].host);
        assert_string_equal(url.port, examples[i].port);
        assert_string_equal(url.vhost, examples[i].vhost);
        assert_true(broker_url_check(examples[i].url, problem, sizeof problem));
    }
}

static void wrong_urls_are_refused_with_the_part_that_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *url, *says;
    } examples[] = {
        {"", "begin with amqp://"},
        {"localhost:5672", "begin with amqp://"},
        {"http://localhost", "begin with amqp://"},
        {"amqps://u:secret@h", "TLS"},
        {"amqp://", "names no host"},
        {"amqp:///v", "names no host"},
        {"amqp://u:secret@", "names no host"},
        {"amqp://u:secret@:5672", "names no host"},
        {"amqp://:secret@h", "user name is empty"},
        {"amqp://h:0", "port"},
        {"amqp://h:65536", "port"},
        {"amqp://h:", "port"},
        {"amqp://h:+1", "port"},
        {"amqp://u:secret", "port"},
        {"amqp://h:99999999999999999999", "port"},
        {"amqp://[::1", "closing bracket"},
        {"amqp://[::1]5672", "bracket"},
        {"amqp://h/a/b", "slash"},
        {"amqp://h/v?heartbeat=10", "parameters"},
        {"amqp://h#x", "parameters"},
        {"amqp://h/%", "virtual host"},
        {"amqp://h/%2", "virtual host"},
        {"amqp://h/%2x", "virtual host"},
        {"amqp://h/a%00b", "NUL"},
        {"amqp://u:secret%zz@h", "password"},
        {"amqp://u:secr/et@h", "%2F"},
        {"amqp://h x", "space"},
        {"amqp://h\n", "control character"},
    };
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        struct broker_url url;
        char problem[PROBLEM_SIZE] = "";
        memset(&url, 0x5a, sizeof url);
        if (broker_url_parse(examples[i].url, &url, problem, sizeof problem))
            fail_msg("%s was accepted", examples[i].url);
        if (strstr(problem, examples[i].says) == NULL)
            fail_msg("%s: \"%s\" does not say \"%s\"", examples[i].url, problem, examples[i].says);
        assert_null(strstr(problem, "secr"));
        assert_int_equal(((unsigned char *)&url)[0], 0x5a); /* untouched */
    }
}

static void a_part_ends_at_255_bytes(void **state)
{
    (void)state;
    for (size_t length = 254; length <= 256; length++) {
        char vhost[300];
        char text[400];
        char problem[PROBLEM_SIZE];
        struct broker_url url;
        memset(vhost, 'v', length);
        vhost[length] = '\0';
        snprintf(text, sizeof text, "amqp://h/%s", vhost);
        assert_int_equal(broker_url_parse(text, &url, problem, sizeof problem), length <= 255);
        if (length <= 255)
            assert_string_equal(url.vhost, vhost);
        else
            assert_non_null(strstr(problem, "255"));
    }
}

static void redaction_hides_the_password_in_right_and_wrong_urls(void **state)
{
    (void)state;
    static const struct {
        const char *url, *redacted;
    } examples[] = {
        {"amqp://u:secret@h:5672/v", "amqp://u@h:5672/v"},
        {"amqp://u@h", "amqp://u@h"},
        {"amqp://h:5672/", "amqp://h:5672/"},
        {"amqp://[::1]:5672", "amqp://[::1]:5672"},
        {"amqp://u:secret@[::1]", "amqp://u@[::1]"},
        {"amqp://u:se@cret@h", "amqp://u@h"},
        {"amqp://u:se/cret@h", "amqp://u@h"},
        {"amqps://u:secret@h", "amqps://u@h"},
        {"u:secret@h", "u@h"},
        {"amqp://u:secret", "amqp://u"},
        {"amqp://h/v?password=secret", "amqp://h/v"},
        {"amqp://u:secret@h?password=secret", "amqp://u@h"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        char out[BROKER_URL_SIZE];
        broker_url_redacted(examples[i].url, out);
        assert_string_equal(out, examples[i].redacted);
    }
}

static void redaction_of_a_long_url_is_cut(void **state)
{
    (void)state;
    char url[2 * BROKER_URL_SIZE];
    char out[BROKER_URL_SIZE];
    memset(url, 'h', sizeof url - 1);
    url[sizeof url - 1] = '\0';
    memcpy(url, "amqp://u:s@", 11);
    broker_url_redacted(url, out);
    assert_int_equal(strlen(out), BROKER_URL_SIZE - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_decoded_and_defaults_filled_in),
        cmocka_unit_test(wrong_urls_are_refused_with_the_part_that_is_wrong),
        cmocka_unit_test(a_part_ends_at_255_bytes),
        cmocka_unit_test(redaction_hides_the_password_in_right_and_wrong_urls),
        cmocka_unit_test(redaction_of_a_long_url_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
