/*
 * retry.c - growing waits, spread by chance, and complaints at growing intervals. See retry.h.
 */
#include "retry.h"

#include <stdio.h>
#include <string.h>

void retry_init(struct retry *retry, uint64_t seed)
{
    *retry = (struct retry){.random = seed != 0 ? seed : 1};
}

/* Marsaglia's xorshift64: chance enough to spread workers. */
static uint64_t draw(struct retry *retry)
{
    retry->random ^= retry->random << 13;
    retry->random ^= retry->random >> 7;
    retry->random ^= retry->random << 17;
    return retry->random;
}

uint32_t retry_failed(struct retry *retry, uint64_t now_ms)
{
    if (retry->succeeded) {
        retry->succeeded = false;
        if (now_ms - retry->succeeded_ms >= RETRY_STABLE_MS)
            retry->delay_ms = 0;
    } else {
        retry->attempts++;
    }
    if (retry->delay_ms == 0)
        retry->delay_ms = RETRY_DELAY_FIRST_MS;
    else
        retry->delay_ms = retry->delay_ms > RETRY_DELAY_MAX_MS / 2 ? RETRY_DELAY_MAX_MS : retry->delay_ms * 2;
    uint32_t half = retry->delay_ms / 2;
    return half + (uint32_t)(draw(retry) % (retry->delay_ms - half + 1));
}

uint32_t retry_succeeded(struct retry *retry, uint64_t now_ms)
{
    retry->succeeded = true;
    retry->succeeded_ms = now_ms;
    uint32_t attempts = retry->attempts + 1;
    retry->attempts = 0;
    return attempts;
}

bool retry_should_tell(struct retry_complaint *complaint, uint64_t now_ms, const char *reason)
{
    if (strncmp(complaint->reason, reason, sizeof complaint->reason - 1) != 0) {
        snprintf(complaint->reason, sizeof complaint->reason, "%s", reason);
        complaint->tell_interval_ms = RETRY_TELL_FIRST_MS;
        complaint->tell_at_ms = now_ms + RETRY_TELL_FIRST_MS;
        return true;
    }
    if (now_ms < complaint->tell_at_ms)
        return false;
    bool near_max = complaint->tell_interval_ms > RETRY_TELL_MAX_MS / 2;
    complaint->tell_interval_ms = near_max ? RETRY_TELL_MAX_MS : complaint->tell_interval_ms * 2;
    complaint->tell_at_ms = now_ms + complaint->tell_interval_ms;
    return true;
}
