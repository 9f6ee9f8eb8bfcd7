/*
 * dead_letter.c - makes a letter of a delivery. See dead_letter.h.
 */
#include "dead_letter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TIME_SIZE     32
#define LEFT_OUT_SIZE 96

/* Around the properties in their frame: type, channel, size and end mark; class, weight and size of the body. */
#define FRAME_OVERHEAD (8u + 12u)

enum header {
    HEADER_REASON,
    HEADER_CAUSE,
    HEADER_RULE,
    HEADER_FIRST_FAILURE,
    HEADER_EXCHANGE,
    HEADER_ROUTING_KEY,
    HEADER_INSTANCE,
    HEADER_USER_ID,
    HEADER_EXPIRATION,
    HEADER_LEFT_OUT,
    HEADERS
};

static const struct {
    const char *name;
    bool kept; /* if the event bears it already */
} headers[HEADERS] = {
    [HEADER_REASON] = {"x-quash-reason", false},
    [HEADER_CAUSE] = {"x-quash-cause", false},
    [HEADER_RULE] = {"x-quash-rule", false},
    [HEADER_FIRST_FAILURE] = {"x-quash-first-failure", true},
    [HEADER_EXCHANGE] = {"x-quash-exchange", true},
    [HEADER_ROUTING_KEY] = {"x-quash-routing-key", true},
    [HEADER_INSTANCE] = {"x-quash-instance", false},
    [HEADER_USER_ID] = {"x-quash-user-id", true},
    [HEADER_EXPIRATION] = {"x-quash-expiration", true},
    [HEADER_LEFT_OUT] = {"x-quash-left-out", false},
};

/* How much of the event comes along; each is tried when the one before does not fit. */
enum extent { WHOLE, WITHOUT_HEADERS, WITHOUT_PROPERTIES, EXTENTS };

static const char *const left_out[EXTENTS] = {
    [WITHOUT_HEADERS] = "the headers", [WITHOUT_PROPERTIES] = "the headers and properties"};

static void format_now(char out[TIME_SIZE])
{
    struct timespec now = {0, 0};
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t length = strftime(out, TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + length, TIME_SIZE - length, ".%03dZ", (int)(now.tv_nsec / 1000000));
}

static enum header find_header(amqp_bytes_t name)
{
    enum header header = 0;
    while (header < HEADERS &&
           (name.len != strlen(headers[header].name) || memcmp(name.bytes, headers[header].name, name.len) != 0))
        header++;
    return header;
}

/* Whether an earlier letter may have said this. All that is kept is a name, a property or a time; a longer text is the
 * emitter's own, and were it kept, there might be no letter that fits into a frame. */
static bool is_earlier_word(enum header header, const amqp_field_value_t *value)
{
    return headers[header].kept && value->kind == AMQP_FIELD_KIND_UTF8 &&
           value->value.bytes.len <= SHORT_STRING_BYTES_MAX;
}

/* Puts the event's headers (without `others` only what an earlier letter said) and the letter's own into `entries`,
 * which has room for all. */
static int merge_headers(const amqp_table_t *event, bool others, amqp_bytes_t value[HEADERS],
                         amqp_table_entry_t *entries)
{
    int count = 0;
    for (int i = 0; i < event->num_entries; i++) {
        enum header header = find_header(event->entries[i].key);
        if (header == HEADERS && others)
            entries[count++] = event->entries[i];
        else if (header != HEADERS && is_earlier_word(header, &event->entries[i].value))
            value[header] = event->entries[i].value.value.bytes;
    }
    for (enum header header = 0; header < HEADERS; header++) {
        if (value[header].bytes == NULL)
            continue;
        entries[count++] = (amqp_table_entry_t){
            .key = amqp_cstring_bytes(headers[header].name),
            .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = value[header]},
        };
    }
    return count;
}

static amqp_bytes_t name_bytes(const char name[SHORT_STRING_SIZE], size_t length)
{
    /* amqp_bytes_t has no const; the library only reads. */
    union {
        const void *in;
        void *out;
    } bytes = {.in = name};
    return (amqp_bytes_t){.len = length, .bytes = bytes.out};
}

/* The size of the encoded properties, or a negative number when they do not fit. */
static int encode(const struct delivery *delivery, const struct dead_letter_cause *cause, const char *instance,
                  enum extent extent, amqp_table_entry_t *entries, amqp_bytes_t out)
{
    static const amqp_basic_properties_t none;
    const amqp_basic_properties_t *event = delivery->properties != NULL ? delivery->properties : &none;
    amqp_basic_properties_t properties = extent != WITHOUT_PROPERTIES ? *event : none;
    char now[TIME_SIZE];
    char missing[LEFT_OUT_SIZE] = "";
    format_now(now);
    if (delivery->body_size < delivery->body_sent)
        snprintf(missing, sizeof missing, "the body of %llu bytes%s%s", (unsigned long long)delivery->body_sent,
                 left_out[extent] != NULL ? ", " : "", left_out[extent] != NULL ? left_out[extent] : "");
    else if (left_out[extent] != NULL)
        snprintf(missing, sizeof missing, "%s", left_out[extent]);
    amqp_bytes_t value[HEADERS] = {
        [HEADER_REASON] = amqp_cstring_bytes(cause->reason),
        [HEADER_CAUSE] = amqp_cstring_bytes(cause->word),
        [HEADER_RULE] = cause->rule != NULL ? amqp_cstring_bytes(cause->rule) : amqp_empty_bytes,
        [HEADER_FIRST_FAILURE] = amqp_cstring_bytes(now),
        [HEADER_EXCHANGE] = name_bytes(delivery->exchange, delivery->exchange_length),
        [HEADER_ROUTING_KEY] = name_bytes(delivery->routing_key, delivery->routing_key_length),
        [HEADER_INSTANCE] = amqp_cstring_bytes(instance),
        [HEADER_LEFT_OUT] = missing[0] != '\0' ? amqp_cstring_bytes(missing) : amqp_empty_bytes,
    };
    if ((event->_flags & AMQP_BASIC_USER_ID_FLAG) != 0)
        value[HEADER_USER_ID] = event->user_id;
    if ((event->_flags & AMQP_BASIC_EXPIRATION_FLAG) != 0)
        value[HEADER_EXPIRATION] = event->expiration;
    properties._flags &= ~(amqp_flags_t)(AMQP_BASIC_USER_ID_FLAG | AMQP_BASIC_EXPIRATION_FLAG);
    properties.delivery_mode = AMQP_DELIVERY_PERSISTENT;
    const bool bears_headers = (event->_flags & AMQP_BASIC_HEADERS_FLAG) != 0;
    properties.headers.entries = entries;
    properties.headers.num_entries =
        merge_headers(bears_headers ? &event->headers : &amqp_empty_table, extent == WHOLE, value, entries);
    properties._flags |= AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_HEADERS_FLAG;
    return amqp_encode_properties(AMQP_BASIC_CLASS, &properties, out);
}

struct dead_letter *dead_letter_new(const struct delivery *delivery, const struct dead_letter_cause *cause,
                                    const char *instance, size_t frame_max)
{
    size_t header_count = HEADERS;
    if (delivery->properties != NULL && (delivery->properties->_flags & AMQP_BASIC_HEADERS_FLAG) != 0)
        header_count += (size_t)delivery->properties->headers.num_entries;
    amqp_table_entry_t *entries = calloc(header_count, sizeof *entries);
    if (entries == NULL)
        return NULL;
    size_t room = frame_max - FRAME_OVERHEAD;
    struct dead_letter *letter = malloc(sizeof *letter + room + delivery->body_size);
    if (letter == NULL) {
        free(entries);
        return NULL;
    }
    int encoded = -1;
    enum extent extent = WHOLE;
    for (; extent < EXTENTS; extent++) {
        encoded =
            encode(delivery, cause, instance, extent, entries, (amqp_bytes_t){.len = room, .bytes = letter->bytes});
        if (encoded >= 0)
            break;
    }
    free(entries);
    if (encoded < 0) {
        free(letter);
        return NULL;
    }
    if (delivery->body_size > 0)
        memcpy(letter->bytes + encoded, delivery->body, delivery->body_size);
    letter->next = NULL;
    letter->tag = delivery->tag;
    letter->number = 0;
    letter->whole = extent == WHOLE && delivery->body_size == delivery->body_sent;
    letter->properties_size = (size_t)encoded;
    letter->body_size = delivery->body_size;
    letter->size = sizeof *letter + letter->properties_size + letter->body_size;
    memcpy(letter->routing_key, delivery->routing_key, sizeof letter->routing_key);
    struct dead_letter *fitted = realloc(letter, letter->size);
    return fitted != NULL ? fitted : letter;
}

bool dead_letter_properties(struct dead_letter *letter, amqp_pool_t *pool, amqp_basic_properties_t **properties)
{
    void *decoded = NULL;
    const amqp_bytes_t bytes = {.len = letter->properties_size, .bytes = letter->bytes};
    if (amqp_decode_properties(AMQP_BASIC_CLASS, pool, bytes, &decoded) != 0)
        return false;
    *properties = decoded;
    return true;
}

const void *dead_letter_body(const struct dead_letter *letter)
{
    return letter->bytes + letter->properties_size;
}
