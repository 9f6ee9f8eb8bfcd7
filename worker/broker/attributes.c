/*
 * attributes.c - headers and properties, between AMQP and JSON.
 *
 *     AMQP                                    JSON
 *     boolean                                 boolean
 *     integers of any size, timestamp         integer; past 64 bits with a sign, the string of its digits
 *     float, double, decimal                  real; {"float": "nan"}, "inf", "-inf" for what JSON cannot say
 *     text, bytes                             string, if that is UTF-8, else {"base64": "..."}
 *     table, array                            object, array
 *     void                                    null
 *
 * What is an object can be seen to exist, and neither equals anything nor names a group. A name that is there twice, is
 * not UTF-8 or contains a NUL makes all of them malformed, as it does in a body.
 */
#include "attributes.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "property.h"
#include "quote.h"
#include "record_attributes.h"

/* Where a property stands in the message. */
static const struct place {
    const char *name;
    amqp_flags_t flag;
    enum { STRING, OCTET, TIMESTAMP } kind;
    size_t offset;
} places[] = {
#define AT(member) offsetof(amqp_basic_properties_t, member)
    {"content_type", AMQP_BASIC_CONTENT_TYPE_FLAG, STRING, AT(content_type)},
    {"content_encoding", AMQP_BASIC_CONTENT_ENCODING_FLAG, STRING, AT(content_encoding)},
    {"delivery_mode", AMQP_BASIC_DELIVERY_MODE_FLAG, OCTET, AT(delivery_mode)},
    {"priority", AMQP_BASIC_PRIORITY_FLAG, OCTET, AT(priority)},
    {"correlation_id", AMQP_BASIC_CORRELATION_ID_FLAG, STRING, AT(correlation_id)},
    {"reply_to", AMQP_BASIC_REPLY_TO_FLAG, STRING, AT(reply_to)},
    {"expiration", AMQP_BASIC_EXPIRATION_FLAG, STRING, AT(expiration)},
    {"message_id", AMQP_BASIC_MESSAGE_ID_FLAG, STRING, AT(message_id)},
    {"timestamp", AMQP_BASIC_TIMESTAMP_FLAG, TIMESTAMP, AT(timestamp)},
    {"type", AMQP_BASIC_TYPE_FLAG, STRING, AT(type)},
    {"user_id", AMQP_BASIC_USER_ID_FLAG, STRING, AT(user_id)},
    {"app_id", AMQP_BASIC_APP_ID_FLAG, STRING, AT(app_id)},
    {"cluster_id", AMQP_BASIC_CLUSTER_ID_FLAG, STRING, AT(cluster_id)},
#undef AT
};

static_assert(sizeof places / sizeof places[0] == PROPERTIES, "each property has its place");

/* ---- From AMQP */

/* Results are new references. NULL after writing into `problem` why not; nothing written: memory ran out. */
static json_t *decode_table(const amqp_table_t *table, int depth, char *problem);

static json_t *decode_integer(uint64_t value)
{
    char digits[24];
    if (value <= INT64_MAX)
        return json_integer((json_int_t)value);
    int length = snprintf(digits, sizeof digits, "%" PRIu64, value);
    return json_stringn_nocheck(digits, (size_t)length);
}

static json_t *decode_real(double value)
{
    if (isfinite(value))
        return json_real(value);
    return json_pack("{s:s}", "float", isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
}

static json_t *decode_decimal(amqp_decimal_t decimal)
{
    double scale = 1;
    for (unsigned i = 0; i < decimal.decimals; i++)
        scale *= 10;
    return json_real((double)decimal.value / scale);
}

static json_t *decode_text(amqp_bytes_t bytes)
{
    const char *text = bytes.len > 0 ? bytes.bytes : "";
    if (utf8_valid(text, bytes.len))
        return json_stringn_nocheck(text, bytes.len);
    char *encoded = base64_encode(text, bytes.len);
    json_t *out = encoded != NULL ? json_pack("{s:s}", "base64", encoded) : NULL;
    free(encoded);
    return out;
}

static json_t *decode_array(const amqp_array_t *array, int depth, char *problem);

/* A value that stands in `depth` tables and arrays. */
static json_t *decode_value(const amqp_field_value_t *field, int depth, char *problem)
{
    switch (field->kind) {
    case AMQP_FIELD_KIND_BOOLEAN:
        return json_boolean(field->value.boolean);
    case AMQP_FIELD_KIND_I8:
        return json_integer(field->value.i8);
    case AMQP_FIELD_KIND_U8:
        return json_integer(field->value.u8);
    case AMQP_FIELD_KIND_I16:
        return json_integer(field->value.i16);
    case AMQP_FIELD_KIND_U16:
        return json_integer(field->value.u16);
    case AMQP_FIELD_KIND_I32:
        return json_integer(field->value.i32);
    case AMQP_FIELD_KIND_U32:
        return json_integer(field->value.u32);
    case AMQP_FIELD_KIND_I64:
        return json_integer(field->value.i64);
    case AMQP_FIELD_KIND_U64:
    case AMQP_FIELD_KIND_TIMESTAMP:
        return decode_integer(field->value.u64);
    case AMQP_FIELD_KIND_F32:
        return decode_real((double)field->value.f32);
    case AMQP_FIELD_KIND_F64:
        return decode_real(field->value.f64);
    case AMQP_FIELD_KIND_DECIMAL:
        return decode_decimal(field->value.decimal);
    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES:
        return decode_text(field->value.bytes);
    case AMQP_FIELD_KIND_VOID:
        return json_null();
    case AMQP_FIELD_KIND_ARRAY:
    case AMQP_FIELD_KIND_TABLE:
        break;
    default:
        snprintf(problem, EVENT_PROBLEM_SIZE, "a header has a type that is unknown here (%u)", field->kind);
        return NULL;
    }
    if (depth == EVENT_HEADER_DEPTH_MAX) {
        snprintf(problem, EVENT_PROBLEM_SIZE, "the headers are nested more than %d levels deep",
                 EVENT_HEADER_DEPTH_MAX);
        return NULL;
    }
    return field->kind == AMQP_FIELD_KIND_ARRAY ? decode_array(&field->value.array, depth + 1, problem)
                                                : decode_table(&field->value.table, depth + 1, problem);
}

static json_t *decode_array(const amqp_array_t *array, int depth, char *problem)
{
    json_t *out = json_array();
    for (int i = 0; out != NULL && i < array->num_entries; i++) {
        if (json_array_append_new(out, decode_value(&array->entries[i], depth, problem)) != 0) {
            json_decref(out);
            out = NULL;
        }
    }
    return out;
}

static bool name_is_good(const json_t *table, const char *name, size_t length, char *problem)
{
    const char *fault = NULL;
    if (length > 0 && memchr(name, '\0', length) != NULL)
        fault = "contains a NUL byte";
    else if (!utf8_valid(name, length))
        fault = "is not UTF-8";
    else if (json_object_getn(table, name, length) != NULL)
        fault = "is there twice";
    if (fault != NULL)
        snprintf(problem, EVENT_PROBLEM_SIZE, "the name of a header %s", fault);
    return fault == NULL;
}

static json_t *decode_table(const amqp_table_t *table, int depth, char *problem)
{
    json_t *out = json_object();
    for (int i = 0; out != NULL && i < table->num_entries; i++) {
        const amqp_table_entry_t *entry = &table->entries[i];
        size_t length = entry->key.len;
        const char *name = length > 0 ? entry->key.bytes : "";
        if (!name_is_good(out, name, length, problem) ||
            json_object_setn_new_nocheck(out, name, length, decode_value(&entry->value, depth, problem)) != 0) {
            json_decref(out);
            out = NULL;
        }
    }
    return out;
}

static json_t *decode_property(const amqp_basic_properties_t *properties, const struct place *place)
{
    const char *at = (const char *)properties + place->offset;
    amqp_bytes_t text;
    uint64_t timestamp;
    switch (place->kind) {
    case STRING:
        memcpy(&text, at, sizeof text);
        return decode_text(text);
    case OCTET:
        return json_integer(*(const uint8_t *)at);
    case TIMESTAMP:
        memcpy(&timestamp, at, sizeof timestamp);
        return decode_integer(timestamp);
    }
    return NULL;
}

static json_t *decode_properties(const amqp_basic_properties_t *properties)
{
    json_t *out = json_object();
    for (size_t i = 0; out != NULL && i < PROPERTIES; i++) {
        if ((properties->_flags & places[i].flag) != 0 &&
            json_object_set_new_nocheck(out, places[i].name, decode_property(properties, &places[i])) != 0) {
            json_decref(out);
            out = NULL;
        }
    }
    return out;
}

bool attributes_decode(const void *source, json_t **headers, json_t **properties, char problem[EVENT_PROBLEM_SIZE])
{
    static const amqp_basic_properties_t none;
    const amqp_basic_properties_t *message = source != NULL ? source : &none;
    const bool has_headers = (message->_flags & AMQP_BASIC_HEADERS_FLAG) != 0;
    problem[0] = '\0';
    *headers = has_headers ? decode_table(&message->headers, 0, problem) : json_object();
    *properties = *headers != NULL ? decode_properties(message) : NULL;
    if (*properties != NULL)
        return true;
    json_decref(*headers);
    if (problem[0] == '\0')
        snprintf(problem, EVENT_PROBLEM_SIZE, "out of memory");
    return false;
}

/* ---- To AMQP */

#define POOL_PAGE_BYTES 4096u

struct attributes {
    amqp_pool_t pool;
    amqp_basic_properties_t properties;
};

static bool encode_table(json_t *object, amqp_pool_t *pool, amqp_table_t *out);

static amqp_bytes_t borrow(const char *text, size_t length)
{
    /* amqp_bytes_t has no const; the library only reads. */
    union {
        const void *in;
        void *out;
    } bytes = {.in = text};
    return (amqp_bytes_t){.len = length, .bytes = bytes.out};
}

/* A table, or the bytes that it stands for. */
static bool encode_object(json_t *object, amqp_pool_t *pool, amqp_field_value_t *out)
{
    size_t size;
    unsigned char *bytes = record_attributes_bytes(object, &size);
    if (bytes == NULL) {
        out->kind = AMQP_FIELD_KIND_TABLE;
        return size == 0 && encode_table(object, pool, &out->value.table);
    }
    out->kind = AMQP_FIELD_KIND_BYTES;
    out->value.bytes = borrow("", 0);
    bool fine = true;
    if (size > 0) {
        amqp_pool_alloc_bytes(pool, size, &out->value.bytes);
        fine = out->value.bytes.bytes != NULL;
        if (fine)
            memcpy(out->value.bytes.bytes, bytes, size);
    }
    free(bytes);
    return fine;
}

static bool encode_value(json_t *value, amqp_pool_t *pool, amqp_field_value_t *out);

static bool encode_array(const json_t *array, amqp_pool_t *pool, amqp_array_t *out)
{
    size_t count = json_array_size(array);
    out->num_entries = (int)count;
    out->entries = amqp_pool_alloc(pool, count * sizeof *out->entries);
    for (size_t i = 0; out->entries != NULL && i < count; i++) {
        if (!encode_value(json_array_get(array, i), pool, &out->entries[i]))
            return false;
    }
    return out->entries != NULL || count == 0;
}

static bool encode_value(json_t *value, amqp_pool_t *pool, amqp_field_value_t *out)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        out->kind = AMQP_FIELD_KIND_UTF8;
        out->value.bytes = borrow(json_string_value(value), json_string_length(value));
        return true;
    case JSON_INTEGER:
        out->kind = AMQP_FIELD_KIND_I64;
        out->value.i64 = json_integer_value(value);
        return true;
    case JSON_REAL:
        out->kind = AMQP_FIELD_KIND_F64;
        out->value.f64 = json_real_value(value);
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        out->kind = AMQP_FIELD_KIND_BOOLEAN;
        out->value.boolean = json_is_true(value) ? 1 : 0;
        return true;
    case JSON_NULL:
        out->kind = AMQP_FIELD_KIND_VOID;
        return true;
    case JSON_ARRAY:
        out->kind = AMQP_FIELD_KIND_ARRAY;
        return encode_array(value, pool, &out->value.array);
    case JSON_OBJECT:
        return encode_object(value, pool, out);
    }
    return false;
}

static bool encode_table(json_t *object, amqp_pool_t *pool, amqp_table_t *out)
{
    size_t count = json_object_size(object);
    out->num_entries = (int)count;
    out->entries = amqp_pool_alloc(pool, count * sizeof *out->entries);
    if (out->entries == NULL)
        return count == 0;
    amqp_table_entry_t *entry = out->entries;
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        entry->key = borrow(name, strlen(name));
        if (!encode_value(value, pool, &entry->value))
            return false;
        entry++;
    }
    return true;
}

static void encode_property(const json_t *value, const struct place *place, amqp_basic_properties_t *out)
{
    char *at = (char *)out + place->offset;
    const json_int_t number = json_integer_value(value);
    const amqp_bytes_t text = borrow(json_string_value(value), json_string_length(value));
    const uint64_t timestamp = (uint64_t)number;
    switch (place->kind) {
    case STRING:
        memcpy(at, &text, sizeof text);
        break;
    case OCTET:
        *(uint8_t *)at = (uint8_t)number;
        break;
    case TIMESTAMP:
        memcpy(at, &timestamp, sizeof timestamp);
        break;
    }
    out->_flags |= place->flag;
}

struct attributes *attributes_encode(json_t *headers, const json_t *properties)
{
    struct attributes *attributes = calloc(1, sizeof *attributes);
    if (attributes == NULL)
        return NULL;
    init_amqp_pool(&attributes->pool, POOL_PAGE_BYTES);
    amqp_basic_properties_t *out = &attributes->properties;
    for (size_t i = 0; i < PROPERTIES; i++) {
        const json_t *value = json_object_get(properties, places[i].name);
        if (value != NULL)
            encode_property(value, &places[i], out);
    }
    if (json_object_size(headers) == 0)
        return attributes;
    out->_flags |= AMQP_BASIC_HEADERS_FLAG;
    if (encode_table(headers, &attributes->pool, &out->headers))
        return attributes;
    attributes_free(attributes);
    return NULL;
}

void attributes_free(struct attributes *attributes)
{
    if (attributes == NULL)
        return;
    empty_amqp_pool(&attributes->pool);
    free(attributes);
}

const amqp_basic_properties_t *attributes_properties(const struct attributes *attributes)
{
    return &attributes->properties;
}
