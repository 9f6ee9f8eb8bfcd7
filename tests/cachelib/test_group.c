/*
 * test_group.c - group names: validity, hash, implication.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <quash/table.h>

#include "group.h"

static void a_name_has_1_to_512_bytes(void **state)
{
    (void)state;
    char name[QUASH_GROUP_MAX + 2];
    memset(name, 'x', sizeof name);
    name[QUASH_GROUP_MAX + 1] = '\0';
    assert_int_equal(group_length(name), 0); /* 513 */
    name[QUASH_GROUP_MAX] = '\0';
    assert_int_equal(group_length(name), QUASH_GROUP_MAX);
    name[QUASH_GROUP_MAX - 1] = '\0';
    assert_int_equal(group_length(name), QUASH_GROUP_MAX - 1);
    assert_int_equal(group_length("x"), 1);
    assert_int_equal(group_length(""), 0);
    assert_int_equal(group_length(NULL), 0);
}

static void a_name_may_hold_any_byte_but_nul(void **state)
{
    (void)state;
    char name[256];
    for (int byte = 1; byte < 256; byte++)
        name[byte - 1] = (char)byte;
    name[255] = '\0';
    assert_int_equal(group_length(name), 255);
}

static void the_hash_is_xxh64_with_the_tables_seed(void **state)
{
    (void)state;
    /* From another implementation: Python's xxhash. */
    assert_true(group_hash("*", 1, UINT64_C(0x0)) == UINT64_C(0x0a9edecebeb03ae4));
    assert_true(group_hash("tenant:42", 9, UINT64_C(0x0)) == UINT64_C(0x0ea7890af4ef7a09));
    assert_true(group_hash("tenant:*", 8, UINT64_C(0x0)) == UINT64_C(0x03efdafc85b8898d));
    assert_true(group_hash("tenant:42", 9, UINT64_C(0x1)) == UINT64_C(0x8d29afd64bbc1f44));
    assert_true(group_hash("catalog", 7, UINT64_C(0x123456789abcdef)) == UINT64_C(0xf7cb7608c442cf74));
}

static void kind_id_implies_the_kind(void **state)
{
    (void)state;
    const uint64_t seed = 7;
    uint64_t hash = 0;
    assert_true(group_kind_hash("tenant:42", 9, seed, &hash));
    assert_int_equal(hash, group_hash("tenant:*", 8, seed));
}

static void the_kind_ends_before_the_first_colon(void **state)
{
    (void)state;
    const uint64_t seed = 7;
    uint64_t hash = 0;
    assert_true(group_kind_hash("a:b:c", 5, seed, &hash));
    assert_int_equal(hash, group_hash("a:*", 3, seed));
    assert_true(group_kind_hash(":b", 2, seed, &hash));
    assert_int_equal(hash, group_hash(":*", 2, seed));
    assert_true(group_kind_hash("a:", 2, seed, &hash));
    assert_int_equal(hash, group_hash("a:*", 3, seed));
}

static void a_bare_kind_implies_no_kind(void **state)
{
    (void)state;
    uint64_t hash = 1;
    assert_false(group_kind_hash("catalog", 7, 7, &hash));
    assert_false(group_kind_hash("*", 1, 7, &hash));
    assert_int_equal(hash, 1);
}

static void a_kind_flush_implies_itself(void **state)
{
    (void)state;
    uint64_t hash = 0;
    assert_true(group_kind_hash("tenant:*", 8, 7, &hash));
    assert_int_equal(hash, group_hash("tenant:*", 8, 7));
}

static void the_longest_name_may_end_in_its_colon(void **state)
{
    (void)state;
    char name[QUASH_GROUP_MAX + 2];
    memset(name, 'k', sizeof name);
    name[QUASH_GROUP_MAX - 1] = ':';
    name[QUASH_GROUP_MAX] = '*';
    name[QUASH_GROUP_MAX + 1] = '\0';
    uint64_t hash = 0;
    assert_true(group_kind_hash(name, QUASH_GROUP_MAX, 7, &hash));
    assert_int_equal(hash, group_hash(name, QUASH_GROUP_MAX + 1, 7));
}

static void everything_implies_the_star(void **state)
{
    (void)state;
    assert_int_equal(group_all_hash(7), group_hash("*", 1, 7));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_has_1_to_512_bytes),
        cmocka_unit_test(a_name_may_hold_any_byte_but_nul),
        cmocka_unit_test(the_hash_is_xxh64_with_the_tables_seed),
        cmocka_unit_test(kind_id_implies_the_kind),
        cmocka_unit_test(the_kind_ends_before_the_first_colon),
        cmocka_unit_test(a_bare_kind_implies_no_kind),
        cmocka_unit_test(a_kind_flush_implies_itself),
        cmocka_unit_test(the_longest_name_may_end_in_its_colon),
        cmocka_unit_test(everything_implies_the_star),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
