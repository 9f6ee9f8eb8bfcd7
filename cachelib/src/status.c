/*
 * status.c - the sentence for each status, from the one list in quash/status.h.
 */
#include <quash/status.h>

const char *quash_status_string(quash_status status)
{
    switch (status) {
#define STATUS_SENTENCE(name, value, sentence)                                                                         \
    case QUASH_##name:                                                                                                 \
        return sentence;
        QUASH_STATUS_MAP(STATUS_SENTENCE)
#undef STATUS_SENTENCE
    case QUASH_STATUS_USER:
        break;
    }
    return status >= QUASH_STATUS_USER ? "a failure that the loader reported"
                                       : "a status that this library does not know";
}
