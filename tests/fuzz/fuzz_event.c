/*
 * fuzz_event.c - an event as it comes from the broker: names, properties and headers as AMQP encodes them, and a body
 * of any bytes, under rules that look everywhere.
 *
 *     [exchange's length][exchange][routing key's length][routing key][length of properties, 2 bytes][properties][body]
 *
 * What is cut short is empty. The lengths are bytes; so are those inside the properties, which rabbitmq-c decodes.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "attributes.h"
#include "broker.h"
#include "short_string.h"

static const char rules_text[] =
    "{\"version\": 1, \"unmatched\": \"dead_letter\", \"rules\": ["
    "{\"name\": \"order\", \"when\": {\"exchange\": \"domain\", \"routing_key\": [\"order.#\", \"*.order.*\"]},"
    " \"cancel\": [\"order:{/id ?? /order/id}\", \"tenant:{header.x-tenant ?? /tenant_id?}\","
    "              \"region:{routing_key.3? | lower}\"]},"
    "{\"name\": \"rows\", \"when\": {\"exchange\": \"cdc\", \"body\": {\"/payload/op\": [\"c\", \"u\", \"d\"],"
    "  \"/payload/source/table\": \"order*\"}},"
    " \"cancel\": [\"tenant:{/payload/before/tenant_id?}\", \"tenant:{/payload/after/tenant_id?}\","
    "              \"sku:{/payload/after/lines/*/sku | trim | upper}\"], \"on_missing\": [\"widen\", \"dead_letter\"]},"
    "{\"name\": \"users\", \"when\": {\"headers\": {\"type\": \"*.User?\", \"/x-death/*/queue\": {\"not\": \"q\"}}},"
    " \"cancel\": [\"user:{/UserIds/*}:{/Roles/*}\"], \"on_missing\": \"skip\", \"repeat_after_ms\": [500, 5000]},"
    "{\"name\": \"typed\", \"when\": {\"properties\": {\"type\": {\"exists\": true}, \"content_type\": {\"not\": "
    "\"text/xml\"}}},"
    " \"cancel\": [\"kind:{property.type}/{property.message_id?}\", \"{exchange}:{routing_key}\", "
    "\"at:{property.timestamp?}\"],"
    " \"on_missing\": \"dead_letter\"}]}";

static struct rules *rules; /* lives as long as the process */

struct input {
    char exchange[SHORT_STRING_SIZE], routing_key[SHORT_STRING_SIZE];
    const amqp_basic_properties_t *properties; /* NULL: what came is none */
    const uint8_t *body;
    size_t body_size;
};

struct reader {
    const uint8_t *at;
    size_t left;
};

static const uint8_t *take(struct reader *reader, size_t wanted, size_t *size)
{
    const uint8_t *start = reader->at;
    *size = wanted < reader->left ? wanted : reader->left;
    reader->at += *size;
    reader->left -= *size;
    return start;
}

static size_t take_length(struct reader *reader, size_t bytes)
{
    size_t size, length = 0;
    const uint8_t *start = take(reader, bytes, &size);
    for (size_t i = 0; i < size; i++)
        length = length << 8 | start[i];
    return length;
}

static void take_name(struct reader *reader, char out[SHORT_STRING_SIZE])
{
    size_t size;
    const uint8_t *start = take(reader, take_length(reader, 1), &size);
    memcpy(out, start, size);
    out[size] = '\0';
}

static struct event make(const void *context)
{
    const struct input *input = context;
    return (struct event){.exchange = input->exchange,
                          .routing_key = input->routing_key,
                          .body = input->body,
                          .body_size = input->body_size,
                          .body_sent = input->body_size,
                          .decode = input->properties != NULL ? attributes_decode : NULL,
                          .decode_from = input->properties};
}

static void load_rules(void)
{
    static struct problems problems;
    rules = rules_parse(rules_text, sizeof rules_text - 1, "fallback", &problems, NULL);
    if (rules == NULL) {
        problems_print(&problems, "the fuzzer's rules", stderr);
        fuzz_broken("the fuzzer's rules are right");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (rules == NULL)
        load_rules();
    /* An empty input has no address that memcpy may be given. */
    struct reader reader = {size > 0 ? data : (const uint8_t *)"", size};
    struct input input;
    take_name(&reader, input.exchange);
    take_name(&reader, input.routing_key);

    size_t encoded_size;
    const uint8_t *start = take(&reader, take_length(&reader, 2), &encoded_size);
    /* Decoding borrows from the bytes, and takes them without const. */
    uint8_t *encoded = malloc(encoded_size + 1);
    if (encoded == NULL)
        return 0;
    memcpy(encoded, start, encoded_size);
    amqp_pool_t pool;
    init_amqp_pool(&pool, 4096);
    void *decoded = NULL;
    const amqp_bytes_t bytes = {.len = encoded_size, .bytes = encoded};
    bool fine = amqp_decode_properties(AMQP_BASIC_CLASS, &pool, bytes, &decoded) >= 0;
    input.properties = fine ? decoded : NULL;
    input.body = reader.at;
    input.body_size = reader.left;
    fuzz_judge(rules, make, &input);
    empty_amqp_pool(&pool);
    free(encoded);
    return 0;
}

/* Everything in front of the body changes bytewise; the body, half of the time, as JSON. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    struct reader reader = {data, size};
    size_t ignored;
    for (int name = 0; name < 2; name++)
        (void)take(&reader, take_length(&reader, 1), &ignored);
    (void)take(&reader, take_length(&reader, 2), &ignored);
    size_t front = size - reader.left;
    if (seed % 2 == 0 || reader.left == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    return front + fuzz_mutate_json(data + front, reader.left, max_size - front, seed / 2);
}
