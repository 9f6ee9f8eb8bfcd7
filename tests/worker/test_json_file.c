/*
 * test_json_file.c - files that cannot be read say why, and problems lead to the line that causes them.
 */
#define _XOPEN_SOURCE 700
#include "rules_support.h"

#include <sys/stat.h>
#include <unistd.h>

#include "json_file.h"
#include "json_text.h"

static char directory[64];
static char path[128];

static int make_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/quash-json-file-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/file.json", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory);
}

static void write_file(const char *text, size_t size)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

static bool load(const char *name, size_t max_bytes)
{
    struct json_file file;
    test_problems.count = 0;
    bool loaded = json_file_load(&file, name, max_bytes, &test_problems);
    assert_int_equal(loaded, test_problems.count == 0);
    assert_int_equal(loaded, file.json != NULL);
    json_file_fini(&file);
    return loaded;
}

static void an_absent_file_is_told(void **state)
{
    (void)state;
    char absent[128];
    snprintf(absent, sizeof absent, "%s/absent.json", directory);
    assert_false(load(absent, 100));
    assert_problem("", "No such file");
}

static void a_directory_is_told(void **state)
{
    (void)state;
    assert_false(load(directory, 100));
    assert_problem("", "is a directory");
}

static void an_unreadable_file_is_told(void **state)
{
    (void)state;
    write_file("{}", 2);
    chmod(path, 0);
    /* Root may read everything, so it tries as nobody. */
    uid_t user = geteuid();
    if (user == 0)
        assert_int_equal(seteuid(65534), 0);
    bool loaded = load(path, 100);
    assert_int_equal(seteuid(user), 0);
    assert_false(loaded);
    assert_problem("", "Permission denied");
    unlink(path);
}

static void an_empty_file_is_told(void **state)
{
    (void)state;
    write_file("", 0);
    assert_false(load(path, 100));
    assert_problem("", "is empty");
    write_file(" \n\t", 3);
    assert_false(load(path, 100));
    assert_problem("", "is empty");
}

static void size_has_a_limit(void **state)
{
    (void)state;
    static char text[10000];
    memset(text, ' ', sizeof text);
    memcpy(text, "{}", 2);
    static const size_t limits[] = {100, 4096, 8192, 9999};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        for (size_t size = limits[i] - 1; size <= limits[i] + 1; size++) {
            write_file(text, size);
            assert_int_equal(load(path, limits[i]), size <= limits[i]);
        }
        assert_problem("", "is larger than");
    }
}

static void what_is_not_json_has_a_line_and_a_column(void **state)
{
    (void)state;
    write_file("{\n  \"a\": 1,\n  \"b\": oops\n}", 25);
    assert_false(load(path, 100));
    assert_problem("", "not JSON: ");
    assert_int_equal(test_problems.item[0].line, 3);
    assert_int_equal(test_problems.item[0].column, 11);
    write_file("{\"a\": \"\0\"}", 10);
    assert_false(load(path, 100));
    assert_problem("", "not JSON: ");
    write_file("\0\0\0", 3);
    assert_false(load(path, 100));
    assert_problem("", "not JSON: ");
}

static void a_pipe_can_be_read(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "[1]", 3), 3);
    close(ends[1]);
    test_problems.count = 0;
    size_t size = 0;
    char *text = json_file_read_fd(ends[0], 10, &size, &test_problems);
    assert_int_equal(size, 3);
    assert_string_equal(text, "[1]");
    free(text);
    close(ends[0]);
}

static void a_pointer_is_located_in_its_text(void **state)
{
    (void)state;
    static const char text[] = "{\n"
                               "  \"a/b\": [10,\n"
                               "    {\"c\": [[], {\"}\": \"]\\\"\"}], \"d\": true}],\n"
                               "  \"\\u00e4\": {\"x~y\": null} }";
    static const struct {
        const char *pointer, *value;
        int line, column;
    } cases[] = {
        {"/a~1b", "[10", 2, 3},
        {"/a~1b/0", "10,", 2, 11},
        {"/a~1b/1/d", "true", 3, 31},
        {"/a~1b/1/c/1/}", "\"]\\\"\"", 3, 17},
        {"/\xc3\xa4/x~0y", "null", 4, 14},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_span span;
        if (!json_text_find(text, sizeof text - 1, cases[i].pointer, &span))
            fail_msg("%s", cases[i].pointer);
        assert_memory_equal(text + span.begin, cases[i].value, strlen(cases[i].value));
        int line, column;
        json_text_position(text, span.key, &line, &column);
        assert_int_equal(line, cases[i].line);
        assert_int_equal(column, cases[i].column);
    }
    struct json_span span;
    static const char *const nowhere[] = {"/a", "/a~1b/2", "/a~1b/0/x", "/\xc3\xa4/x~1y", "/a~1b/1/c/0/0"};
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++)
        assert_false(json_text_find(text, sizeof text - 1, nowhere[i], &span));
    assert_true(json_text_find(text, sizeof text - 1, "", &span));
    assert_int_equal(span.end, sizeof text - 1);
}

static void a_pointer_that_is_too_long_is_shortened_by_whole_segments(void **state)
{
    (void)state;
    char key[PROBLEM_POINTER_SIZE];
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    struct json_place rules = json_place_key(NULL, "rules");
    struct json_place third = json_place_index(&rules, 3);
    struct json_place far = json_place_key(&third, key);
    struct json_place child = json_place_index(&far, 7);
    test_problems.count = 0;
    json_problem(&test_problems, &child, "x");
    assert_string_equal(test_problems.item[0].pointer, "/rules/3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_absent_file_is_told),
        cmocka_unit_test(a_directory_is_told),
        cmocka_unit_test(an_unreadable_file_is_told),
        cmocka_unit_test(an_empty_file_is_told),
        cmocka_unit_test(size_has_a_limit),
        cmocka_unit_test(what_is_not_json_has_a_line_and_a_column),
        cmocka_unit_test(a_pipe_can_be_read),
        cmocka_unit_test(a_pointer_is_located_in_its_text),
        cmocka_unit_test(a_pointer_that_is_too_long_is_shortened_by_whole_segments),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
