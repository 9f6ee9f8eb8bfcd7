/*
 * test_cases.c - test cases for rules: what is refused and with which words, and that an event reaches the rules as it
 * stands in the file.
 */
#include "rules_support.h"

#include "cases.h"

static struct cases cases;

static const char *path = "some/where/order-paid.json";

/* Of a file of cases. */
static void read_cases(const char *text)
{
    test_problems.count = 0;
    if (!cases_parse(&cases, text, strlen(text), path, false, &test_problems)) {
        problems_print(&test_problems, "cases", stderr);
        fail();
    }
    assert_int_equal(test_problems.count, 0);
}

static void refuse_cases(const char *text)
{
    test_problems.count = 0;
    assert_false(cases_parse(&cases, text, strlen(text), path, false, &test_problems));
    assert_true(test_problems.count > 0);
    assert_null(cases.item);
    assert_int_equal(cases.count, 0);
}

/* One case of a list, in single quotes. */
static void refuse_case(const char *fields)
{
    char text[1024], *c;
    snprintf(text, sizeof text, "{'tests': [{%s}]}", fields);
    for (c = text; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    refuse_cases(text);
}

static void assert_body(const struct test_case *test, const char *expected)
{
    const struct event *event = &test->record.event;
    assert_int_equal(event->body_size, strlen(expected));
    assert_memory_equal(event->body, expected, event->body_size);
}

static void a_file_has_a_list_of_cases(void **state)
{
    (void)state;
    read_cases("{\"$schema\": \"cases.schema.json\", \"description\": \"about orders\",\n"
               " \"tests\": [\n"
               "  {\"name\": \"one\", \"description\": \"the first\",\n"
               "   \"event\": {\"exchange\": \"domain\", \"routing_key\": \"order.paid\", \"body\": {\"id\": 17}},\n"
               "   \"groups\": [\"order:17\", \"*\"]},\n"
               "\n"
               "  {\"name\": \"two\", \"event\": {\"body_text\": \"x\"}, \"rules\": [], \"verdict\": \"dead_letter\"}\n"
               "]}\n");
    assert_int_equal(cases.count, 2);
    const struct test_case *one = &cases.item[0], *two = &cases.item[1];
    assert_string_equal(one->name, "one");
    assert_int_equal(one->line, 3);
    assert_string_equal(one->record.event.exchange, "domain");
    assert_string_equal(one->record.event.routing_key, "order.paid");
    assert_body(one, "{\"id\": 17}");
    assert_int_equal(json_array_size(one->groups), 2);
    assert_null(one->rules);
    assert_null(one->verdict);
    assert_string_equal(two->name, "two");
    assert_int_equal(two->line, 7);
    assert_body(two, "x");
    assert_null(two->groups);
    assert_int_equal(json_array_size(two->rules), 0);
    assert_string_equal(two->verdict, "dead_letter");
    cases_fini(&cases);
    assert_int_equal(cases.count, 0);
}

static void a_file_may_be_one_case_and_then_names_it(void **state)
{
    (void)state;
    read_cases("\n{\"$schema\": \"x\", \"event\": {\"body\": 1}, \"verdict\": \"ignore\"}");
    assert_int_equal(cases.count, 1);
    assert_string_equal(cases.item[0].name, "order-paid");
    assert_int_equal(cases.item[0].line, 2);
    cases_fini(&cases);
    read_cases("{\"name\": \"its own\", \"event\": {\"body\": 1}, \"groups\": []}");
    assert_string_equal(cases.item[0].name, "its own");
    cases_fini(&cases);

    static const struct {
        const char *path, *name;
    } names[] = {{"a.json", "a"}, {"a", "a"}, {".json", ".json"}, {"/x/y.yaml", "y.yaml"}, {"dir/", "dir/"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        path = names[i].path;
        read_cases("{\"event\": {\"body\": 1}, \"groups\": []}");
        assert_string_equal(cases.item[0].name, names[i].name);
        cases_fini(&cases);
    }
    path = "some/where/order-paid.json";
}

static void a_list_may_be_empty(void **state)
{
    (void)state;
    read_cases("{\"tests\": []}");
    assert_int_equal(cases.count, 0);
    cases_fini(&cases);
}

static void the_bytes_of_a_body_are_those_in_the_file(void **state)
{
    (void)state;
    read_cases("{\"tests\":[{\"name\":\"a\",\"event\":{\"body\" : [1.0, 1e2,\n\"\\u0041]}\" ] },\"groups\":[]},"
               "{\"groups\":[\"}\"],\"name\":\"]\",\"\\u0065vent\":\n{\"routing_key\": \"k\", \"body\": 1.50}}]}");
    assert_int_equal(cases.count, 2);
    assert_body(&cases.item[0], "[1.0, 1e2,\n\"\\u0041]}\" ]");
    assert_int_equal(cases.item[0].line, 1);
    assert_body(&cases.item[1], "1.50");
    assert_string_equal(cases.item[1].record.event.routing_key, "k");
    assert_int_equal(cases.item[1].line, 2);
    cases_fini(&cases);
}

static void the_cases_of_a_rules_file_stand_under_tests(void **state)
{
    (void)state;
    static const char text[] = "{\"version\": 1,\n\"rules\": [{\"name\": \"a\", \"cancel\": [\"b\"]}],\n\"tests\": [\n"
                               "{\"name\": \"t\", \"event\": {\"body\": 1}, \"groups\": [\"b\"]}]}";
    test_problems.count = 0;
    assert_true(cases_parse(&cases, text, strlen(text), "rules.json", true, &test_problems));
    assert_int_equal(cases.count, 1);
    assert_int_equal(cases.item[0].line, 4);
    cases_fini(&cases);
    static const char none[] = "{\"version\": 1, \"rules\": [{\"name\": \"a\", \"cancel\": [\"b\"]}]}";
    assert_true(cases_parse(&cases, none, strlen(none), "rules.json", true, &test_problems));
    assert_int_equal(cases.count, 0);
    cases_fini(&cases);
}

static void what_is_no_file_of_cases_is_told(void **state)
{
    (void)state;
    refuse_cases("");
    assert_problem("", "is empty");
    refuse_cases("{");
    assert_problem("", "not JSON");
    refuse_cases("[]");
    assert_problem("", "found an array; expected a file of cases");
    refuse_cases("{}");
    assert_problem("", "the key \"tests\" is missing");
    refuse_cases("{\"tests\": {}}");
    assert_problem("/tests", "found an object; expected a list of test cases");
    refuse_cases("{\"version\": 1, \"tests\": []}");
    assert_problem("/version", "unknown key \"version\"");
    refuse_cases("{\"tests\": [], \"description\": 1, \"$schema\": 2}");
    assert_problem("/description", "found the number 1");
    assert_problem("/$schema", "found the number 2");
    refuse_cases("{\"tests\": [], \"event\": {\"body\": 1}}");
    assert_problem("/event", "unknown key \"event\"");
    refuse_cases("{\"event\": {\"body\": 1}, \"groups\": [], \"tset\": 1}");
    assert_problem("/tset", "unknown key");
    refuse_cases("{\"event\": {\"body\": 1}, \"groups\": [], \"$schema\": 1}");
    assert_problem("/$schema", "found the number 1");
}

static void mistakes_in_a_case_are_told_with_their_place(void **state)
{
    (void)state;
    refuse_cases("{\"tests\": [1]}");
    assert_problem("/tests/0", "found the number 1; expected a test case");
    refuse_case("'nmae': 'a', 'event': {'body': 1}, 'groups': []");
    assert_problem("/tests/0/nmae", "did you mean \"name\"?");
    assert_problem("/tests/0", "the key \"name\" is missing");
    refuse_case("'name': 1, 'event': {'body': 1}, 'groups': []");
    assert_problem("/tests/0/name", "found the number 1");
    refuse_case("'name': '', 'event': {'body': 1}, 'groups': []");
    assert_problem("/tests/0/name", "empty name");
    refuse_case("'name': 'a\\nb', 'event': {'body': 1}, 'groups': []");
    assert_problem("/tests/0/name", "control character");
    refuse_case("'name': 'a', 'event': {'body': 1}, 'groups': [], '$schema': 'x'");
    assert_problem("/tests/0/$schema", "unknown key");
    refuse_case("'name': 'a', 'groups': []");
    assert_problem("/tests/0", "the key \"event\" is missing");
    refuse_case("'name': 'a', 'event': {'body': 1}, 'description': []");
    assert_problem("/tests/0/description", "found an array");
    refuse_case("'name': 'a', 'event': {'body': 1}");
    assert_problem("/tests/0", "nothing is expected; add \"groups\", \"rules\" or \"verdict\"");
    refuse_case("'name': 'a', 'event': {'body': 1}, 'groups': 'order:17'");
    assert_problem("/tests/0/groups", "found the string \"order:17\"; expected a list of groups");
    refuse_case("'name': 'a', 'event': {'body': 1}, 'groups': ['a', 1, '']");
    assert_problem("/tests/0/groups/1", "found the number 1");
    assert_problem("/tests/0/groups/2", "has 0 bytes");
    refuse_case("'name': 'a', 'event': {'body': 1}, 'rules': [null]");
    assert_problem("/tests/0/rules/0", "found null; expected the name of a rule");
    refuse_case("'name': 'a', 'event': {'body': 1}, 'rules': {}");
    assert_problem("/tests/0/rules", "found an object");
    refuse_case("'name': 'a', 'event': {'body': 1}, 'verdict': 'deadletter'");
    assert_problem("/tests/0/verdict", "\"deadletter\" is no verdict; did you mean \"dead_letter\"?");
    refuse_case("'name': 'a', 'event': {'body': 1}, 'verdict': 'xyzzy'");
    assert_problem("/tests/0/verdict", "expected \"cancel\", \"ignore\" or \"dead_letter\"");
    refuse_case("'name': 'a', 'event': {'body': 1}, 'verdict': true");
    assert_problem("/tests/0/verdict", "found true");
}

static void all_mistakes_are_told_at_once_with_their_lines(void **state)
{
    (void)state;
    refuse_cases("{\"tests\": [\n"
                 "  {\"name\": \"a\", \"event\": {\"body\": 1}},\n"
                 "  {\"name\": \"a\",\n"
                 "   \"event\": {\"bdy\": 1},\n"
                 "   \"groups\": []}\n"
                 "]}");
    assert_problem("/tests/0", "nothing is expected");
    assert_problem("/tests/1/name", "the name \"a\" is taken by case 1 of the list");
    assert_problem("/tests/1/event/bdy", "did you mean \"body\"?");
    assert_problem("/tests/1/event", "found 0 of");
    assert_int_equal(test_problems.item[0].line, 2);
    assert_int_equal(test_problems.item[1].line, 3);
    assert_int_equal(test_problems.item[2].line, 4);
}

static void an_event_is_checked_as_a_record_is(void **state)
{
    (void)state;
    refuse_case("'name': 'a', 'event': [], 'groups': []");
    assert_problem("/tests/0/event", "found an array; expected an event record");
    refuse_case("'name': 'a', 'event': {'body': 1, 'exchange': 7}, 'groups': []");
    assert_problem("/tests/0/event/exchange", "found the number 7");
    refuse_case("'name': 'a', 'event': {'body_base64': '?'}, 'groups': []");
    assert_problem("/tests/0/event/body_base64", "is not base64");
}

static void a_name_may_have_200_characters_and_no_more(void **state)
{
    (void)state;
    for (size_t length = 199; length <= 201; length++) {
        char text[1024], name[512] = "";
        for (size_t i = 0; i < length; i++)
            strcat(name, "\xc3\xbc");
        snprintf(text, sizeof text, "{\"tests\": [{\"name\": \"%s\", \"event\": {\"body\": 1}, \"groups\": []}]}",
                 name);
        if (length <= CASE_NAME_CHARACTERS_MAX) {
            read_cases(text);
            cases_fini(&cases);
        } else {
            refuse_cases(text);
            assert_problem("/tests/0/name", "has 201 characters; at most 200");
        }
    }
}

static void a_group_may_have_512_bytes_and_no_more(void **state)
{
    (void)state;
    for (size_t length = 511; length <= 513; length++) {
        char text[1024];
        snprintf(text, sizeof text,
                 "{\"tests\": [{\"name\": \"a\", \"event\": {\"body\": 1}, \"groups\": [\"%0*d\"]}]}", (int)length, 0);
        if (length <= 512) {
            read_cases(text);
            cases_fini(&cases);
        } else {
            refuse_cases(text);
            assert_problem("/tests/0/groups/0", "has 513 bytes");
        }
    }
}

static void a_list_may_have_10000_cases_and_no_more(void **state)
{
    (void)state;
    size_t room = (size_t)(RULES_TESTS_MAX + 2) * 80;
    char *text = malloc(room);
    assert_non_null(text);
    for (size_t count = RULES_TESTS_MAX - 1; count <= RULES_TESTS_MAX + 1; count++) {
        size_t used = (size_t)snprintf(text, room, "{\"tests\": [");
        for (size_t i = 0; i < count; i++)
            used += (size_t)snprintf(text + used, room - used,
                                     "%s\n{\"name\": \"%zu\", \"event\": {\"body\": %zu}, \"groups\": []}",
                                     i == 0 ? "" : ",", i, i);
        snprintf(text + used, room - used, "]}");
        if (count > RULES_TESTS_MAX) {
            refuse_cases(text);
            assert_problem("/tests", "found 10001 test cases; at most 10000");
            continue;
        }
        read_cases(text);
        assert_int_equal(cases.count, count);
        char last[16];
        snprintf(last, sizeof last, "%zu", count - 1);
        assert_string_equal(cases.item[count - 1].name, last);
        assert_body(&cases.item[count - 1], last);
        assert_int_equal(cases.item[count - 1].line, (int)count + 1);
        cases_fini(&cases);
    }
    free(text);
}

static void the_loader_of_rules_checks_the_tests(void **state)
{
    (void)state;
    must_refuse(
        "{\"version\": 1, \"rules\": [{\"name\": \"a\", \"cancel\": [\"b\"]}], \"tests\": [{\"name\": \"t\"}]}");
    assert_problem("/tests/0", "the key \"event\" is missing");
    struct rules *rules = must_parse("{\"version\": 1, \"rules\": [{\"name\": \"a\", \"cancel\": [\"b\"]}], \"tests\": "
                                     "[{\"name\": \"t\", \"event\": {\"body\": 1}, \"groups\": [\"b\"]}]}");
    assert_int_equal(json_array_size(rules_tests(rules)), 1);
    rules_free(rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_has_a_list_of_cases),
        cmocka_unit_test(a_file_may_be_one_case_and_then_names_it),
        cmocka_unit_test(a_list_may_be_empty),
        cmocka_unit_test(the_bytes_of_a_body_are_those_in_the_file),
        cmocka_unit_test(the_cases_of_a_rules_file_stand_under_tests),
        cmocka_unit_test(what_is_no_file_of_cases_is_told),
        cmocka_unit_test(mistakes_in_a_case_are_told_with_their_place),
        cmocka_unit_test(all_mistakes_are_told_at_once_with_their_lines),
        cmocka_unit_test(an_event_is_checked_as_a_record_is),
        cmocka_unit_test(a_name_may_have_200_characters_and_no_more),
        cmocka_unit_test(a_group_may_have_512_bytes_and_no_more),
        cmocka_unit_test(a_list_may_have_10000_cases_and_no_more),
        cmocka_unit_test(the_loader_of_rules_checks_the_tests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
