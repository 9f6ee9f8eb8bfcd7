/*
 * base64.h - bytes as text: RFC 4648, padded, without white space.
 */
#ifndef QUASHD_BASE64_H
#define QUASHD_BASE64_H

#include <stddef.h>

/* The bytes that text[length] stands for, for the caller to free (also when they are none), and how many in *size.
 * NULL with *size 0 if the text is not base64, with *size 1 when memory ran out. */
unsigned char *base64_decode(const char *text, size_t length, size_t *size);

/* The text that stands for bytes[size], with a NUL behind it, for the caller to free. NULL when memory ran out. */
char *base64_encode(const void *bytes, size_t size);

#endif
