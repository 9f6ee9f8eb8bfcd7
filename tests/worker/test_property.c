/*
 * test_property.c - the properties of AMQP 0-9-1 are known with what they hold, and nothing else is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "property.h"
#include "short_string.h"

static char sentence[256];

static bool holds(const char *name, json_t *value)
{
    assert_non_null(value);
    bool fine = property_check(name, value, sentence, sizeof sentence);
    json_decref(value);
    return fine;
}

static void thirteen_names_are_known_and_nothing_like_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROPERTIES; i++) {
        assert_true(property_known(property_names[i], strlen(property_names[i])));
        assert_false(property_known(property_names[i], strlen(property_names[i]) - 1));
    }
    assert_null(property_names[PROPERTIES]);
    assert_true(property_known("type!", 4));
    assert_false(property_known("Type", 4));
    assert_false(property_known("", 0));
    assert_false(property_known("headers", 7));
}

static void integers_have_their_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        json_int_t min, max;
    } cases[] = {{"delivery_mode", 1, 2}, {"priority", 0, 255}, {"timestamp", 0, INT64_MAX}};
    size_t integers = 0;
    for (size_t i = 0; i < PROPERTIES; i++)
        integers += property_is_integer(property_names[i]) ? 1 : 0;
    assert_int_equal(integers, sizeof cases / sizeof cases[0]);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *name = cases[i].name;
        assert_true(property_is_integer(name));
        assert_int_equal(property_integer_min(name), cases[i].min);
        assert_int_equal(property_integer_max(name), cases[i].max);
        assert_true(holds(name, json_integer(cases[i].min)));
        assert_true(holds(name, json_integer(cases[i].max)));
        assert_false(holds(name, json_integer(cases[i].min - 1)));
        if (cases[i].max < INT64_MAX)
            assert_false(holds(name, json_integer(cases[i].max + 1)));
        assert_false(holds(name, json_real(1.0)));
        assert_false(holds(name, json_string("1")));
        assert_false(holds(name, json_true()));
    }
}

static void strings_have_at_most_255_bytes(void **state)
{
    (void)state;
    char text[SHORT_STRING_BYTES_MAX + 1];
    memset(text, 'x', sizeof text);
    assert_true(holds("message_id", json_stringn(text, 0)));
    assert_true(holds("message_id", json_stringn(text, SHORT_STRING_BYTES_MAX - 1)));
    assert_true(holds("message_id", json_stringn(text, SHORT_STRING_BYTES_MAX)));
    assert_false(holds("message_id", json_stringn(text, SHORT_STRING_BYTES_MAX + 1)));
    assert_string_equal(sentence, "has 256 bytes; AMQP allows at most 255");
    assert_false(holds("message_id", json_integer(7)));
    assert_string_equal(sentence, "found the number 7; expected a string");
    assert_false(holds("message_id", json_null()));
    assert_false(holds("message_id", json_object()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thirteen_names_are_known_and_nothing_like_them),
        cmocka_unit_test(integers_have_their_ranges),
        cmocka_unit_test(strings_have_at_most_255_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
