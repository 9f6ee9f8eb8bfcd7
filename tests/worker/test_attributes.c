/*
 * test_attributes.c - what emitters put into headers and properties arrives as JSON, what cannot be said in JSON is
 * never taken for something else, and records go the same way back.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attributes.h"

static char problem[EVENT_PROBLEM_SIZE];

/* ---- Memory that runs out: the linker sends allocations here, jansson's come by its own hook */

static long allocations_left = -1; /* until one fails; -1: none does */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    bool fails = allocations_left == 0;
    if (allocations_left >= 0)
        allocations_left--;
    return fails ? NULL : __real_malloc(size);
}

/* ---- From AMQP */

static amqp_bytes_t bytes_of(const char *text, size_t length)
{
    union {
        const char *in;
        void *out;
    } cast = {.in = text};
    return (amqp_bytes_t){.len = length, .bytes = cast.out};
}

static amqp_bytes_t text_of(const char *text)
{
    return bytes_of(text, strlen(text));
}

static amqp_table_entry_t entry_of(const char *name, amqp_field_value_t value)
{
    return (amqp_table_entry_t){.key = text_of(name), .value = value};
}

/* The headers as JSON text, for the caller to free; NULL if they are malformed. */
static char *decode(amqp_table_entry_t *entries, int count)
{
    const amqp_basic_properties_t message = {._flags = AMQP_BASIC_HEADERS_FLAG,
                                             .headers = {.num_entries = count, .entries = entries}};
    json_t *headers, *properties;
    if (!attributes_decode(&message, &headers, &properties, problem))
        return NULL;
    assert_int_equal(json_object_size(properties), 0);
    char *text = json_dumps(headers, JSON_COMPACT | JSON_SORT_KEYS);
    assert_non_null(text);
    json_decref(headers);
    json_decref(properties);
    return text;
}

static void assert_decodes(amqp_field_value_t value, const char *wanted)
{
    amqp_table_entry_t entry = entry_of("h", value);
    char expected[512];
    snprintf(expected, sizeof expected, "{\"h\":%s}", wanted);
    char *text = decode(&entry, 1);
    if (text == NULL)
        fail_msg("%s: %s", wanted, problem);
    assert_string_equal(text, expected);
    free(text);
}

#define FIELD(KIND, member, what) ((amqp_field_value_t){.kind = AMQP_FIELD_KIND_##KIND, .value.member = (what)})

static void integers_of_every_size_keep_their_digits(void **state)
{
    (void)state;
    assert_decodes(FIELD(I8, i8, INT8_MIN), "-128");
    assert_decodes(FIELD(U8, u8, UINT8_MAX), "255");
    assert_decodes(FIELD(I16, i16, INT16_MIN), "-32768");
    assert_decodes(FIELD(U16, u16, UINT16_MAX), "65535");
    assert_decodes(FIELD(I32, i32, INT32_MIN), "-2147483648");
    assert_decodes(FIELD(U32, u32, UINT32_MAX), "4294967295");
    assert_decodes(FIELD(I64, i64, INT64_MIN), "-9223372036854775808");
    assert_decodes(FIELD(I64, i64, INT64_MAX), "9223372036854775807");
    assert_decodes(FIELD(U64, u64, INT64_MAX), "9223372036854775807");
    assert_decodes(FIELD(U64, u64, (uint64_t)INT64_MAX + 1), "\"9223372036854775808\"");
    assert_decodes(FIELD(U64, u64, UINT64_MAX), "\"18446744073709551615\"");
    assert_decodes(FIELD(TIMESTAMP, u64, 1767225600), "1767225600");
    assert_decodes(FIELD(TIMESTAMP, u64, UINT64_MAX), "\"18446744073709551615\"");
}

static void the_other_kinds_are_what_json_has_for_them(void **state)
{
    (void)state;
    assert_decodes(FIELD(BOOLEAN, boolean, 1), "true");
    assert_decodes(FIELD(BOOLEAN, boolean, 0), "false");
    assert_decodes((amqp_field_value_t){.kind = AMQP_FIELD_KIND_VOID}, "null");
    assert_decodes(FIELD(F32, f32, 1.5f), "1.5");
    assert_decodes(FIELD(F64, f64, -2.0), "-2.0");
    assert_decodes(FIELD(DECIMAL, decimal, ((amqp_decimal_t){.decimals = 2, .value = 1250})), "12.5");
    assert_decodes(FIELD(DECIMAL, decimal, ((amqp_decimal_t){.decimals = 0, .value = UINT32_MAX})), "4294967295.0");
}

static void floats_that_json_cannot_say_are_objects(void **state)
{
    (void)state;
    assert_decodes(FIELD(F64, f64, NAN), "{\"float\":\"nan\"}");
    assert_decodes(FIELD(F64, f64, INFINITY), "{\"float\":\"inf\"}");
    assert_decodes(FIELD(F32, f32, -INFINITY), "{\"float\":\"-inf\"}");
    /* The smallest decimal that there is. */
    amqp_table_entry_t entry =
        entry_of("h", FIELD(DECIMAL, decimal, ((amqp_decimal_t){.decimals = 255, .value = UINT32_MAX})));
    char *text = decode(&entry, 1);
    assert_non_null(text);
    free(text);
}

static void text_is_a_string_however_it_was_declared(void **state)
{
    (void)state;
    assert_decodes(FIELD(UTF8, bytes, text_of("h\xc3\xa9")), "\"h\xc3\xa9\"");
    assert_decodes(FIELD(BYTES, bytes, text_of("h\xc3\xa9")), "\"h\xc3\xa9\"");
    assert_decodes(FIELD(UTF8, bytes, ((amqp_bytes_t){.len = 0, .bytes = NULL})), "\"\"");
    assert_decodes(FIELD(UTF8, bytes, bytes_of("a\0b", 3)), "\"a\\u0000b\"");
}

static void bytes_that_are_no_text_are_an_object_in_base64(void **state)
{
    (void)state;
    assert_decodes(FIELD(BYTES, bytes, text_of("\xff")), "{\"base64\":\"/w==\"}");
    assert_decodes(FIELD(UTF8, bytes, bytes_of("\x80\x00\x01", 3)), "{\"base64\":\"gAAB\"}");
    assert_decodes(FIELD(UTF8, bytes, text_of("\xed\xa0\x80")), "{\"base64\":\"7aCA\"}");         /* a surrogate */
    assert_decodes(FIELD(UTF8, bytes, text_of("\xc0\xaf")), "{\"base64\":\"wK8=\"}");             /* too long */
    assert_decodes(FIELD(UTF8, bytes, text_of("\xf4\x90\x80\x80")), "{\"base64\":\"9JCAgA==\"}"); /* past the end */
}

static void tables_and_arrays_may_be_nested(void **state)
{
    (void)state;
    amqp_table_entry_t death[] = {entry_of("queue", FIELD(UTF8, bytes, text_of("orders"))),
                                  entry_of("count", FIELD(I64, i64, 2))};
    amqp_field_value_t deaths[] = {FIELD(TABLE, table, ((amqp_table_t){.num_entries = 2, .entries = death})),
                                   FIELD(ARRAY, array, ((amqp_array_t){.num_entries = 0, .entries = NULL}))};
    assert_decodes(FIELD(ARRAY, array, ((amqp_array_t){.num_entries = 2, .entries = deaths})),
                   "[{\"count\":2,\"queue\":\"orders\"},[]]");
    assert_decodes(FIELD(TABLE, table, ((amqp_table_t){.num_entries = 0, .entries = NULL})), "{}");
}

static void headers_may_be_64_levels_deep_and_no_more(void **state)
{
    (void)state;
    static amqp_field_value_t levels[EVENT_HEADER_DEPTH_MAX + 2];
    static amqp_table_entry_t entries[EVENT_HEADER_DEPTH_MAX + 2];
    for (int depth = EVENT_HEADER_DEPTH_MAX - 1; depth <= EVENT_HEADER_DEPTH_MAX + 1; depth++) {
        amqp_field_value_t arrays = {.kind = AMQP_FIELD_KIND_VOID}, tables = arrays;
        for (int i = 0; i < depth; i++) {
            levels[i] = arrays;
            arrays = FIELD(ARRAY, array, ((amqp_array_t){.num_entries = 1, .entries = &levels[i]}));
            entries[i] = entry_of("t", tables);
            tables = FIELD(TABLE, table, ((amqp_table_t){.num_entries = 1, .entries = &entries[i]}));
        }
        amqp_table_entry_t both[] = {entry_of("a", arrays), entry_of("t", tables)};
        for (int i = 0; i < 2; i++) {
            char *text = decode(&both[i], 1);
            assert_int_equal(text != NULL, depth <= EVENT_HEADER_DEPTH_MAX);
            if (text == NULL)
                assert_string_equal(problem, "the headers are nested more than 64 levels deep");
            free(text);
        }
    }
}

static void assert_malformed(amqp_table_entry_t *entries, int count, const char *wanted)
{
    char *text = decode(entries, count);
    if (text != NULL)
        fail_msg("decoded as %s", text);
    assert_string_equal(problem, wanted);
    assert_null(strstr(problem, "secret"));
    /* The same inside of a table. */
    amqp_table_entry_t outer =
        entry_of("outer", FIELD(TABLE, table, ((amqp_table_t){.num_entries = count, .entries = entries})));
    assert_null(decode(&outer, 1));
    assert_string_equal(problem, wanted);
}

static void names_that_would_have_to_be_guessed_are_malformed(void **state)
{
    (void)state;
    amqp_table_entry_t twice[] = {entry_of("secret", FIELD(I8, i8, 1)), entry_of("b", FIELD(I8, i8, 1)),
                                  entry_of("secret", FIELD(I8, i8, 1))};
    assert_malformed(twice, 3, "the name of a header is there twice");
    amqp_table_entry_t no_text[] = {entry_of("secret\xff", FIELD(I8, i8, 1))};
    assert_malformed(no_text, 1, "the name of a header is not UTF-8");
    amqp_table_entry_t nul[] = {{.key = bytes_of("secret\0x", 8), .value = FIELD(I8, i8, 1)}};
    assert_malformed(nul, 1, "the name of a header contains a NUL byte");
    /* An empty name is one; once. */
    amqp_table_entry_t empty[] = {entry_of("", FIELD(I8, i8, 1)), {.key = {0, NULL}, .value = FIELD(I8, i8, 2)}};
    char *text = decode(empty, 1);
    assert_string_equal(text, "{\"\":1}");
    free(text);
    assert_malformed(empty, 2, "the name of a header is there twice");
    /* Names that only look alike are two. */
    amqp_table_entry_t alike[] = {entry_of("a", FIELD(I8, i8, 1)), entry_of("A", FIELD(I8, i8, 2))};
    text = decode(alike, 2);
    assert_string_equal(text, "{\"A\":2,\"a\":1}");
    free(text);
}

static void a_kind_that_is_unknown_is_malformed(void **state)
{
    (void)state;
    amqp_table_entry_t entry = entry_of("h", (amqp_field_value_t){.kind = '?'});
    assert_malformed(&entry, 1, "a header has a type that is unknown here (63)");
}

static void a_message_without_anything_gives_two_empty_objects(void **state)
{
    (void)state;
    const amqp_basic_properties_t message = {._flags = 0};
    const amqp_basic_properties_t *sources[] = {&message, NULL};
    for (size_t i = 0; i < 2; i++) {
        json_t *headers, *properties;
        assert_true(attributes_decode(sources[i], &headers, &properties, problem));
        assert_int_equal(json_object_size(headers) + json_object_size(properties), 0);
        assert_true(json_is_object(headers) && json_is_object(properties));
        json_decref(headers);
        json_decref(properties);
    }
}

static void every_property_has_its_name_and_those_not_sent_are_absent(void **state)
{
    (void)state;
    amqp_basic_properties_t message = {
        ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_CONTENT_ENCODING_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG |
                  AMQP_BASIC_PRIORITY_FLAG | AMQP_BASIC_CORRELATION_ID_FLAG | AMQP_BASIC_REPLY_TO_FLAG |
                  AMQP_BASIC_EXPIRATION_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TIMESTAMP_FLAG |
                  AMQP_BASIC_TYPE_FLAG | AMQP_BASIC_USER_ID_FLAG | AMQP_BASIC_APP_ID_FLAG | AMQP_BASIC_CLUSTER_ID_FLAG,
        .content_type = text_of("1"),
        .content_encoding = text_of("2"),
        .delivery_mode = 2,
        .priority = 255,
        .correlation_id = text_of("3"),
        .reply_to = text_of("4"),
        .expiration = text_of("5"),
        .message_id = text_of("6"),
        .timestamp = UINT64_MAX,
        .type = text_of("7"),
        .user_id = text_of(""),
        .app_id = text_of("\xff"),
        .cluster_id = bytes_of("\0", 1),
    };
    json_t *headers, *properties;
    assert_true(attributes_decode(&message, &headers, &properties, problem));
    char *text = json_dumps(properties, JSON_COMPACT);
    assert_string_equal(text, "{\"content_type\":\"1\",\"content_encoding\":\"2\",\"delivery_mode\":2,\"priority\":255,"
                              "\"correlation_id\":\"3\",\"reply_to\":\"4\",\"expiration\":\"5\",\"message_id\":\"6\","
                              "\"timestamp\":\"18446744073709551615\",\"type\":\"7\",\"user_id\":\"\","
                              "\"app_id\":{\"base64\":\"/w==\"},\"cluster_id\":\"\\u0000\"}");
    free(text);
    json_decref(headers);
    json_decref(properties);

    message._flags = AMQP_BASIC_TYPE_FLAG;
    assert_true(attributes_decode(&message, &headers, &properties, problem));
    assert_int_equal(json_object_size(properties), 1);
    json_decref(headers);
    json_decref(properties);
}

static void without_memory_headers_are_never_taken_for_others(void **state)
{
    (void)state;
    amqp_table_entry_t inner[] = {entry_of("a", FIELD(UTF8, bytes, text_of("text")))};
    amqp_field_value_t elements[] = {FIELD(BYTES, bytes, text_of("\xff")), FIELD(F64, f64, NAN), FIELD(F64, f64, 1),
                                     FIELD(TABLE, table, ((amqp_table_t){.num_entries = 1, .entries = inner}))};
    amqp_table_entry_t entries[] = {
        entry_of("list", FIELD(ARRAY, array, ((amqp_array_t){.num_entries = 4, .entries = elements}))),
        entry_of("large", FIELD(U64, u64, UINT64_MAX)),
    };
    const amqp_basic_properties_t message = {._flags = AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_TYPE_FLAG,
                                             .headers = {.num_entries = 2, .entries = entries},
                                             .type = text_of("order")};
    bool failed = true;
    for (long left = 0; failed; left++) {
        json_t *headers, *properties;
        assert_true(left < 1000);
        allocations_left = left;
        bool fine = attributes_decode(&message, &headers, &properties, problem);
        failed = allocations_left < 0;
        allocations_left = -1;
        assert_int_equal(fine, !failed);
        if (!fine) {
            assert_string_equal(problem, "out of memory");
            continue;
        }
        assert_true(left > 20);
        json_t *wanted = json_loads("{\"list\": [{\"base64\": \"/w==\"}, {\"float\": \"nan\"}, 1.0, {\"a\": \"text\"}],"
                                    " \"large\": \"18446744073709551615\"}",
                                    0, NULL);
        assert_true(json_equal(headers, wanted));
        assert_string_equal(json_string_value(json_object_get(properties, "type")), "order");
        json_decref(wanted);
        json_decref(headers);
        json_decref(properties);
    }
}

/* ---- And back */

static void a_record_comes_back_as_it_was(void **state)
{
    (void)state;
    json_t *headers = json_loads("{\"s\": \"h\\u00e9\\u0000\", \"\": \"\", \"i\": -9223372036854775808, \"t\": true,"
                                 " \"f\": false, \"r\": 1.5, \"n\": null, \"o\": {\"a\": {}, \"b\": []},"
                                 " \"l\": [1, [\"x\"], {\"y\": 2}], \"raw\": {\"base64\": \"/w==\"},"
                                 " \"table\": {\"base64\": \"no\"}, \"two\": {\"base64\": \"/w==\", \"z\": 1}}",
                                 JSON_ALLOW_NUL, NULL);
    json_t *properties =
        json_loads("{\"type\": \"t\", \"delivery_mode\": 1, \"priority\": 7, \"timestamp\": 99}", 0, NULL);
    assert_non_null(headers);
    assert_non_null(properties);
    struct attributes *attributes = attributes_encode(headers, properties);
    assert_non_null(attributes);

    /* Over the wire, as the broker would have it. */
    static char wire[BROKER_FRAME_MAX];
    amqp_pool_t pool;
    init_amqp_pool(&pool, 4096);
    amqp_basic_properties_t sent = *attributes_properties(attributes);
    int size = amqp_encode_properties(AMQP_BASIC_CLASS, &sent, (amqp_bytes_t){.len = sizeof wire, .bytes = wire});
    assert_true(size > 0);
    void *received;
    assert_true(amqp_decode_properties(AMQP_BASIC_CLASS, &pool, bytes_of(wire, (size_t)size), &received) >= 0);
    json_t *headers_back, *properties_back;
    assert_true(attributes_decode(received, &headers_back, &properties_back, problem));
    assert_true(json_equal(headers_back, headers));
    assert_true(json_equal(properties_back, properties));
    json_decref(headers_back);
    json_decref(properties_back);
    empty_amqp_pool(&pool);
    attributes_free(attributes);
    json_decref(headers);
    json_decref(properties);
}

static void kinds_on_the_wire_are_those_that_every_client_knows(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        char kind;
    } cases[] = {{"\"x\"", 'S'},
                 {"1", 'l'},
                 {"1.5", 'd'},
                 {"true", 't'},
                 {"null", 'V'},
                 {"{}", 'F'},
                 {"[]", 'A'},
                 {"{\"base64\": \"Zm9v\"}", 'x'},
                 {"{\"base64\": \"\"}", 'x'}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *headers = json_pack("{s:o}", "h", json_loads(cases[i].json, JSON_DECODE_ANY, NULL));
        struct attributes *attributes = attributes_encode(headers, NULL);
        assert_non_null(attributes);
        const amqp_basic_properties_t *encoded = attributes_properties(attributes);
        assert_int_equal(encoded->_flags, AMQP_BASIC_HEADERS_FLAG);
        assert_int_equal(encoded->headers.entries[0].value.kind, cases[i].kind);
        if (cases[i].kind == 'x')
            assert_int_equal(encoded->headers.entries[0].value.value.bytes.len, i == 7 ? 3 : 0);
        attributes_free(attributes);
        json_decref(headers);
    }
}

static void nothing_is_sent_of_what_a_record_does_not_have(void **state)
{
    (void)state;
    json_t *nothing = json_object();
    json_t *given[] = {nothing, NULL};
    for (size_t i = 0; i < 2; i++) {
        struct attributes *attributes = attributes_encode(given[i], given[i]);
        assert_non_null(attributes);
        assert_int_equal(attributes_properties(attributes)->_flags, 0);
        attributes_free(attributes);
    }
    json_decref(nothing);
    attributes_free(NULL);
}

int main(void)
{
    json_set_alloc_funcs(__wrap_malloc, free);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_of_every_size_keep_their_digits),
        cmocka_unit_test(the_other_kinds_are_what_json_has_for_them),
        cmocka_unit_test(floats_that_json_cannot_say_are_objects),
        cmocka_unit_test(text_is_a_string_however_it_was_declared),
        cmocka_unit_test(bytes_that_are_no_text_are_an_object_in_base64),
        cmocka_unit_test(tables_and_arrays_may_be_nested),
        cmocka_unit_test(headers_may_be_64_levels_deep_and_no_more),
        cmocka_unit_test(names_that_would_have_to_be_guessed_are_malformed),
        cmocka_unit_test(a_kind_that_is_unknown_is_malformed),
        cmocka_unit_test(a_message_without_anything_gives_two_empty_objects),
        cmocka_unit_test(every_property_has_its_name_and_those_not_sent_are_absent),
        cmocka_unit_test(without_memory_headers_are_never_taken_for_others),
        cmocka_unit_test(a_record_comes_back_as_it_was),
        cmocka_unit_test(kinds_on_the_wire_are_those_that_every_client_knows),
        cmocka_unit_test(nothing_is_sent_of_what_a_record_does_not_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
