/*
 * base64.c - bytes as text.
 */
#include "base64.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

unsigned char *base64_decode(const char *text, size_t length, size_t *size)
{
    *size = 0;
    if (length % 4 != 0)
        return NULL;
    unsigned char *out = malloc(length / 4 * 3 + 1);
    if (out == NULL) {
        *size = 1;
        return NULL;
    }
    size_t used = 0;
    for (size_t i = 0; i < length; i += 4) {
        uint32_t bits = 0;
        size_t padding = 0;
        for (size_t j = 0; j < 4; j++) {
            const char *digit = text[i + j] != '\0' ? strchr(alphabet, text[i + j]) : NULL;
            if (digit != NULL && padding == 0)
                bits = bits << 6 | (uint32_t)(digit - alphabet);
            else if (text[i + j] == '=' && i + 4 == length && j >= 2) {
                bits <<= 6;
                padding++;
            } else {
                free(out);
                return NULL;
            }
        }
        for (size_t j = 0; j < 3 - padding; j++)
            out[used++] = (unsigned char)(bits >> (16 - 8 * j));
    }
    *size = used;
    return out;
}

char *base64_encode(const void *bytes, size_t size)
{
    const unsigned char *in = bytes;
    char *out = malloc((size + 2) / 3 * 4 + 1);
    if (out == NULL)
        return NULL;
    size_t used = 0;
    for (size_t i = 0; i < size; i += 3) {
        size_t there = size - i < 3 ? size - i : 3;
        uint32_t bits = 0;
        for (size_t j = 0; j < 3; j++)
            bits = bits << 8 | (j < there ? in[i + j] : 0u);
        for (size_t j = 0; j < 4; j++)
            out[used++] = j <= there ? alphabet[bits >> (18 - 6 * j) & 63] : '=';
    }
    out[used] = '\0';
    return out;
}
