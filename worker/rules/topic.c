/*
 * topic.c - AMQP topic patterns.
 *
 * Matching goes from left to right and remembers only the last `#`: when a later word does not fit, that `#` takes one
 * word more. An earlier `#` need never be tried again, since whatever it could give the last one can take itself. So
 * the cost is bounded by a product, whatever the pattern.
 */
#include "topic.h"

#include <stdio.h>
#include <string.h>

#include "quote.h"

bool topic_check(const char *pattern, char *problem, size_t size)
{
    size_t length = strlen(pattern);
    char shown[QUOTE_SIZE];
    quote_text(shown, sizeof shown, pattern, length);
    if (length > SHORT_STRING_BYTES_MAX) {
        snprintf(problem, size, "%s has %zu bytes; a routing key has at most %d", shown, length,
                 SHORT_STRING_BYTES_MAX);
        return false;
    }
    for (const char *word = pattern; word != NULL;) {
        size_t word_length = strcspn(word, ".");
        if (word_length > 1 && strcspn(word, "*#") < word_length) {
            char shown_word[QUOTE_SIZE];
            quote_text(shown_word, sizeof shown_word, word, word_length);
            snprintf(problem, size,
                     "the word %s mixes a wildcard with text; \"*\" stands for one whole word and \"#\" for any number "
                     "of words, as in \"order.*\" or \"order.#\"",
                     shown_word);
            return false;
        }
        word = word[word_length] == '.' ? word + word_length + 1 : NULL;
    }
    return true;
}

/* Where a list of words stands: at the first byte of a word, or past the last word. */
static const char *first_word(const char *text)
{
    return *text != '\0' ? text : NULL;
}

static const char *next_word(const char *word)
{
    word += strcspn(word, ".");
    return *word == '.' ? word + 1 : NULL;
}

static bool same_word(const char *a, const char *b)
{
    size_t length = strcspn(a, ".");
    return length == strcspn(b, ".") && memcmp(a, b, length) == 0;
}

static bool is_word(const char *word, char wildcard)
{
    return word[0] == wildcard && (word[1] == '.' || word[1] == '\0');
}

/* With `key_is_pattern`, `key` is a pattern itself, whose `#` only a `#` can take. */
static bool match(const char *pattern, const char *key, bool key_is_pattern)
{
    const char *want = first_word(pattern);
    const char *have = first_word(key);
    const char *after_many = NULL; /* what follows the last `#` */
    const char *taken_to = NULL;   /* where in the key that `#` ends for now */
    bool many = false;

    while (have != NULL || want != NULL) {
        if (want != NULL && is_word(want, '#')) {
            many = true;
            after_many = want = next_word(want);
            taken_to = have;
        } else if (want != NULL && have != NULL &&
                   ((is_word(want, '*') && !(key_is_pattern && is_word(have, '#'))) || same_word(want, have))) {
            want = next_word(want);
            have = next_word(have);
        } else if (many && taken_to != NULL) {
            taken_to = next_word(taken_to);
            have = taken_to;
            want = after_many;
        } else {
            return false;
        }
    }
    return true;
}

bool topic_match(const char *pattern, const char *routing_key)
{
    return match(pattern, routing_key, false);
}

bool topic_covers(const char *wide, const char *narrow)
{
    return match(wide, narrow, true);
}

static const char *last_word(const char *text)
{
    const char *dot = strrchr(text, '.');
    return *text == '\0' ? NULL : dot != NULL ? dot + 1 : text;
}

static const char *word_before(const char *text, const char *word)
{
    if (word == text)
        return NULL;
    for (word--; word > text && word[-1] != '.';)
        word--;
    return word;
}

/* Whether the patterns differ in a word, or in whether there is one, on the way from one end to the first `#`. */
static bool differ(const char *a, const char *b, bool from_the_end)
{
    const char *one = from_the_end ? last_word(a) : first_word(a);
    const char *other = from_the_end ? last_word(b) : first_word(b);
    while (one != NULL && other != NULL) {
        if (is_word(one, '#') || is_word(other, '#'))
            return false;
        if (!is_word(one, '*') && !is_word(other, '*') && !same_word(one, other))
            return true;
        one = from_the_end ? word_before(a, one) : next_word(one);
        other = from_the_end ? word_before(b, other) : next_word(other);
    }
    const char *more = one != NULL ? one : other;
    return more != NULL && !is_word(more, '#');
}

bool topic_disjoint(const char *a, const char *b)
{
    return differ(a, b, false) || differ(a, b, true);
}
