/*
 * retry.h - how long to wait before the next attempt, and whether to say again that it failed. Attempts are spread by
 * chance, so that a broker that comes back is not met by all its workers at once.
 *
 * One thread; time comes from the caller, as monotonic milliseconds.
 */
#ifndef QUASHD_RETRY_H
#define QUASHD_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#define RETRY_DELAY_FIRST_MS 200u
#define RETRY_DELAY_MAX_MS   10000u
/* A success that lasted shorter than this counts as one more failure, or a broker that throws everyone out at once
 * would be met in a tight loop. */
#define RETRY_STABLE_MS 10000u
/* A reason that stays the same is told at once, then after this long, then after twice that, and so on. */
#define RETRY_TELL_FIRST_MS 5000u
#define RETRY_TELL_MAX_MS   300000u

#define RETRY_REASON_SIZE 1024

struct retry {
    uint32_t attempts; /* failed ones since the last success */
    uint32_t delay_ms; /* the bound of the last wait; 0: none yet */
    uint64_t random;   /* state of a xorshift generator; never 0 */
    uint64_t succeeded_ms;
    bool succeeded;
};

void retry_init(struct retry *retry, uint64_t seed);

/* An attempt has failed, or what the last one achieved is lost, at `now_ms`. Returns how long to wait: between half and
 * the whole of a bound that doubles from RETRY_DELAY_FIRST_MS to RETRY_DELAY_MAX_MS. */
uint32_t retry_failed(struct retry *retry, uint64_t now_ms);

/* An attempt has succeeded. Returns how many it took. */
uint32_t retry_succeeded(struct retry *retry, uint64_t now_ms);

/* Why one address fails; each address has its own, so that two that fail differently are not news in turn.
 * Zero-initialise; zero it again when the address works. */
struct retry_complaint {
    char reason[RETRY_REASON_SIZE]; /* the one told last; "" before that */
    uint64_t tell_at_ms;
    uint32_t tell_interval_ms;
};

/* Whether to log that it failed for `reason` at `now_ms`: at once when that is new, else at growing intervals. */
bool retry_should_tell(struct retry_complaint *complaint, uint64_t now_ms, const char *reason);

#endif
