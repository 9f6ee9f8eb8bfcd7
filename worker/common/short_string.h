/*
 * short_string.h - the limit of AMQP's short strings: names of exchanges and queues, routing keys, users, content
 * types.
 */
#ifndef QUASH_SHORT_STRING_H
#define QUASH_SHORT_STRING_H

#define SHORT_STRING_BYTES_MAX 255
#define SHORT_STRING_SIZE      (SHORT_STRING_BYTES_MAX + 1) /* with a NUL */

#endif
