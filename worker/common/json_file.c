/*
 * json_file.c - loading a JSON file, and checks whose complaints say where.
 */
#include "json_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json_text.h"
#include "quote.h"

char *json_file_read_fd(int fd, size_t max_bytes, size_t *size, struct problems *problems)
{
    struct stat status;
    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        problems_add(problems, 0, 0, NULL, "is a directory; name the file in it");
        return NULL;
    }

    char *text = NULL;
    size_t used = 0, room = 0;
    for (;;) {
        if (used == room) {
            /* One byte beyond the cap is read, so that a file of exactly the cap is told from a larger one. */
            room = room == 0 ? 4096 : room * 2;
            if (room > max_bytes + 1)
                room = max_bytes + 1;
            char *larger = realloc(text, room + 1);
            if (larger == NULL) {
                problems_add(problems, 0, 0, NULL, "cannot be read: out of memory");
                goto fail;
            }
            text = larger;
        }
        ssize_t got = read(fd, text + used, room - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            problems_add(problems, 0, 0, NULL, "cannot be read: %s", strerror(errno));
            goto fail;
        }
        if (got == 0)
            break;
        used += (size_t)got;
        if (used > max_bytes) {
            problems_add(problems, 0, 0, NULL, "is larger than %zu bytes, which is the most that is read; split it",
                         max_bytes);
            goto fail;
        }
    }
    text[used] = '\0';
    *size = used;
    return text;
fail:
    free(text);
    return NULL;
}

char *json_file_read(const char *path, size_t max_bytes, size_t *size, struct problems *problems)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        const char *hint = errno == ENOENT ? "; check the path" : "";
        problems_add(problems, 0, 0, NULL, "cannot be opened: %s%s", strerror(errno), hint);
        return NULL;
    }
    char *text = json_file_read_fd(fd, max_bytes, size, problems);
    close(fd);
    return text;
}

/* Takes `text`. */
static bool parse_owned(struct json_file *file, char *text, size_t size, struct problems *problems)
{
    *file = (struct json_file){NULL, NULL, 0};
    if (strspn(text, " \t\r\n") == size) {
        problems_add(problems, 0, 0, NULL, "is empty; a JSON object is expected");
        free(text);
        return false;
    }
    struct json_fault fault;
    json_t *json = json_text_parse(text, size, false, &fault);
    if (json == NULL) {
        problems_add(problems, fault.line, fault.column, NULL, "not JSON: %s", fault.sentence);
        free(text);
        return false;
    }
    file->json = json;
    file->text = text;
    file->size = size;
    return true;
}

bool json_file_load(struct json_file *file, const char *path, size_t max_bytes, struct problems *problems)
{
    *file = (struct json_file){NULL, NULL, 0};
    size_t size;
    char *text = json_file_read(path, max_bytes, &size, problems);
    return text != NULL && parse_owned(file, text, size, problems);
}

bool json_file_parse(struct json_file *file, const char *text, size_t size, struct problems *problems)
{
    *file = (struct json_file){NULL, NULL, 0};
    char *copy = malloc(size + 1);
    if (copy == NULL) {
        problems_add(problems, 0, 0, NULL, "cannot be read: out of memory");
        return false;
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    return parse_owned(file, copy, size, problems);
}

void json_file_locate(const struct json_file *file, struct problems *problems)
{
    size_t kept = problems->count < PROBLEMS_MAX ? problems->count : PROBLEMS_MAX;
    for (size_t i = 0; i < kept; i++) {
        struct problem *problem = &problems->item[i];
        struct json_span span;
        if (problem->line == 0 && json_text_find(file->text, file->size, problem->pointer, &span))
            json_text_position(file->text, span.key, &problem->line, &problem->column);
    }
}

void json_file_fini(struct json_file *file)
{
    json_decref(file->json);
    free(file->text);
    *file = (struct json_file){NULL, NULL, 0};
}

struct json_place json_place_key(const struct json_place *parent, const char *key)
{
    return (struct json_place){parent, key, 0};
}

struct json_place json_place_index(const struct json_place *parent, size_t index)
{
    return (struct json_place){parent, NULL, index};
}

/* Appends `key`, escaped; false if it does not fit. */
static bool write_key(const char *key, char *out, size_t size, size_t *used)
{
    for (; *key != '\0'; key++) {
        if (*used + 3 > size)
            return false;
        if (*key == '~' || *key == '/') {
            out[(*used)++] = '~';
            out[(*used)++] = *key == '~' ? '0' : '1';
        } else {
            out[(*used)++] = *key;
        }
    }
    return true;
}

/* Writes the pointer to `place` as far as whole segments fit: shortened, it still leads to something. */
static bool write_pointer(const struct json_place *place, char *out, size_t size, size_t *used)
{
    if (place == NULL)
        return true;
    if (!write_pointer(place->parent, out, size, used))
        return false;
    char digits[24];
    snprintf(digits, sizeof digits, "%zu", place->index);
    size_t start = *used;
    bool fits = start + 2 <= size;
    if (fits) {
        out[(*used)++] = '/';
        fits = write_key(place->key != NULL ? place->key : digits, out, size, used);
    }
    if (!fits)
        *used = start;
    out[*used] = '\0';
    return fits;
}

const char *json_place_pointer(const struct json_place *place, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    (void)write_pointer(place, out, size, &used);
    return out;
}

void json_problem(struct problems *problems, const struct json_place *place, const char *format, ...)
{
    char pointer[PROBLEM_POINTER_SIZE];
    json_place_pointer(place, pointer, sizeof pointer);
    char sentence[PROBLEM_SENTENCE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    problems_add(problems, 0, 0, pointer, "%s", sentence);
}

const char *json_found(const json_t *value, char *out, size_t size)
{
    char shown[QUOTE_SIZE];
    quote_json(shown, sizeof shown, value);
    if (json_is_string(value))
        snprintf(out, size, "the string %s", shown);
    else if (json_is_number(value))
        snprintf(out, size, "the number %s", shown);
    else
        snprintf(out, size, "%s", shown);
    return out;
}

bool json_expect(const json_t *value, json_type type, const char *expected, const struct json_place *place,
                 struct problems *problems)
{
    if (value != NULL && json_typeof(value) == type)
        return true;
    char found[QUOTE_SIZE + 16];
    json_problem(problems, place, "found %s; expected %s", json_found(value, found, sizeof found), expected);
    return false;
}

/* `"a", "b" and "c"` */
static void list_words(const char *const *words, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; words[i] != NULL && used < size; i++) {
        const char *joint = i == 0 ? "" : words[i + 1] == NULL ? " and " : ", ";
        used += (size_t)snprintf(out + used, size - used, "%s\"%s\"", joint, words[i]);
    }
}

bool json_check_keys(json_t *object, const char *const *known, const struct json_place *place,
                     struct problems *problems)
{
    bool fine = true;
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        const char *const *word = known;
        while (*word != NULL && strcmp(*word, key) != 0)
            word++;
        if (*word != NULL)
            continue;

        fine = false;
        struct json_place here = json_place_key(place, key);
        char shown[QUOTE_SIZE];
        quote_text(shown, sizeof shown, key, strlen(key));
        const char *nearest = nearest_word(key, known);
        if (nearest != NULL) {
            json_problem(problems, &here, "unknown key %s; did you mean \"%s\"?", shown, nearest);
        } else {
            char words[256];
            list_words(known, words, sizeof words);
            json_problem(problems, &here, "unknown key %s; this version knows %s here", shown, words);
        }
    }
    return fine;
}

json_t *json_require(const json_t *object, const char *key, const char *expected, const struct json_place *place,
                     struct problems *problems)
{
    json_t *value = json_object_get(object, key);
    if (value == NULL)
        json_problem(problems, place, "the key \"%s\" is missing; expected %s", key, expected);
    return value;
}

size_t json_characters(const json_t *string)
{
    return utf8_characters(json_string_value(string), json_string_length(string));
}
