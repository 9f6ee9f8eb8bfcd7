/* What a hit must not do: call the kernel. Hits are made in a child that has forbidden itself every system call but
 * read, write and exit: anything else kills it. */
#define _GNU_SOURCE /* syscall */
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache_support.h"

static quash_status never(quash_fill *fill, void *context)
{
    (void)fill;
    (void)context;
    return QUASH_LOAD_FAILED;
}

/* 0: all were hits. */
static int hit_often(quash_cache *cache)
{
    for (int i = 0; i < 10000; i++) {
        quash_entry *entry = quash_cache_get(cache, "key", 3);
        quash_entry *loaded = NULL;
        if (entry == NULL || quash_cache_get_or_load(cache, "key", 3, never, NULL, NULL, &loaded) != QUASH_OK)
            return 1;
        quash_entry_release(entry);
        quash_entry_release(loaded);
    }
    return 0;
}

enum child { CHILD_HITS, CHILD_CALLS_THE_KERNEL };

static int status_of_a_child(quash_cache *cache, enum child what)
{
    pid_t child = scratch_fork();
    assert_true(child >= 0);
    if (child == 0) {
        int failed = hit_often(cache);
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
            _exit(77);
        failed = failed != 0 || hit_often(cache) != 0;
        if (what == CHILD_CALLS_THE_KERNEL)
            (void)getppid();
        syscall(SYS_exit, failed);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void a_hit_makes_no_system_call(void **state)
{
    (void)state;
    quash_cache *cache = new_cache();
    put_text(cache, "key", "value", "tenant:42");
    int status = status_of_a_child(cache, CHILD_HITS);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip(); /* the kernel does not let a process forbid itself anything */
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    /* And it would have been noticed. */
    status = status_of_a_child(cache, CHILD_CALLS_THE_KERNEL);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    quash_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hit_makes_no_system_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
