/*
 * broker_url.h - the address of a broker: amqp://[user[:password]@]host[:port][/vhost], each part percent-encoded where
 * it must be. The default virtual host is "/", also behind a bare trailing slash.
 */
#ifndef QUASHD_BROKER_URL_H
#define QUASHD_BROKER_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "short_string.h"

#define BROKER_PORT_DEFAULT 5672u

struct broker_url {
    char user[SHORT_STRING_SIZE];
    char password[SHORT_STRING_SIZE];
    char host[SHORT_STRING_SIZE]; /* of an IPv6 address without its brackets */
    char vhost[SHORT_STRING_SIZE];
    char port[6];
};

/* False when `url` cannot be connected to; then `problem` is a sentence, without the password, that says what is wrong
 * with it and how a right one looks. *parsed is written only on success. */
bool broker_url_parse(const char *url, struct broker_url *parsed, char *problem, size_t problem_size);

/* As broker_url_parse, where only the answer is of interest. */
bool broker_url_check(const char *url, char *problem, size_t problem_size);

/* A URL without its password and its query, for logs; also one that is wrong. */
#define BROKER_URL_SIZE 512
void broker_url_redacted(const char *url, char out[BROKER_URL_SIZE]);

#endif
