/*
 * table_stat.c - the state of a table, for people and for programs. See table_stat.h.
 */
#include "table_stat.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>

#include <jansson.h>

#include "clock.h"
#include "quote.h"

static uint64_t slots(const quash_table_info *info)
{
    return info->buckets * 7; /* the public format says so */
}

/* quashd says about once a second that it is alive; one that was silent for longer than this has a problem. */
#define HEARTBEAT_LATE_NS UINT64_C(5000000000)

/* How long ago `then` was; false if it never was, or on another boot's clock. */
static bool age_ns(const quash_table_info *info, uint64_t then_ns, uint64_t *age)
{
    uint64_t now_ns = clock_monotonic_ns();
    if (then_ns == 0 || !info->same_boot || then_ns > now_ns)
        return false;
    *age = now_ns - then_ns;
    return true;
}

/* Whether a process of that number runs here. In a container it may have another number, or none that shows. */
static bool process_runs(uint32_t pid)
{
    return kill((pid_t)pid, 0) == 0 || errno == EPERM;
}

/* ---- For people ---- */

#define LABEL "%-12s "

static void print_worker(const quash_table_info *info, FILE *out)
{
    uint64_t age;
    fprintf(out, LABEL, "worker");
    if (info->worker_pid == 0) {
        fputs("none has served this table yet\n", out);
        return;
    }
    fprintf(out, "pid %u", info->worker_pid);
    if (info->same_boot && !process_runs(info->worker_pid))
        fputs(" (gone, or in another container)", out);
    if (age_ns(info, info->worker_heartbeat_ns, &age)) {
        fprintf(out, ", last seen %.1f s ago%s", (double)age / 1e9, age > HEARTBEAT_LATE_NS ? ": SILENT" : "");
        fprintf(out, ", %s\n", info->worker_connected ? "connected to the broker" : "NOT CONNECTED to the broker");
    } else {
        fputs(", not seen since this host started\n", out);
    }
}

void table_stat_print(const char *path, const quash_table_info *info, const quash_table_source *source, FILE *out)
{
    char shown[4096];
    uint64_t age;
    fprintf(out, LABEL "%s\n", "path", quote_bare(shown, sizeof shown, path, strlen(path)));
    fprintf(out, LABEL "%u\n", "format", info->format_version);
    fprintf(out, LABEL "%016llx\n", "incarnation", (unsigned long long)info->incarnation);
    fprintf(out, LABEL "%s\n", "state",
            info->retired      ? "retired: its readers look for a successor"
            : !info->same_boot ? "left over from before this host started; not trusted"
                               : "in use");
    print_worker(info, out);
    if (source->rules_hash != 0)
        fprintf(out, LABEL "%016llx\n", "rules", (unsigned long long)source->rules_hash);
    else
        fprintf(out, LABEL "not noted\n", "rules");
    fprintf(out, LABEL "%llu\n", "sequence", (unsigned long long)info->sequence);
    fprintf(out, LABEL "%llu\n", "changes", (unsigned long long)info->changes);
    fprintf(out, LABEL "%llu bytes, %llu buckets\n", "size", (unsigned long long)info->bytes,
            (unsigned long long)info->buckets);
    fprintf(out, LABEL "%llu of %llu\n", "slots used", (unsigned long long)info->slots_used,
            (unsigned long long)slots(info));
    fprintf(out, LABEL "%llu of %llu buckets\n", "overflowed", (unsigned long long)info->buckets_overflowed,
            (unsigned long long)info->buckets);
    if (age_ns(info, info->watermark_ns, &age))
        fprintf(out, LABEL "%.3f s ago\n", "watermark", (double)age / 1e9);
    else
        fprintf(out, LABEL "none\n", "watermark");
}

/* ---- For programs ---- */

static json_t *milliseconds(const quash_table_info *info, uint64_t then_ns)
{
    uint64_t age;
    return age_ns(info, then_ns, &age) ? json_integer((json_int_t)(age / 1000000)) : json_null();
}

bool table_stat_print_json(const char *path, const quash_table_info *info, const quash_table_source *source, FILE *out)
{
    char incarnation[17], rules[17], shown[4096];
    snprintf(rules, sizeof rules, "%016llx", (unsigned long long)source->rules_hash);
    snprintf(incarnation, sizeof incarnation, "%016llx", (unsigned long long)info->incarnation);
    json_t *worker = json_null();
    if (info->worker_pid != 0)
        worker = json_pack("{sI sb so sb}", "pid", (json_int_t)info->worker_pid, "process_runs_here",
                           info->same_boot && process_runs(info->worker_pid), "heartbeat_age_ms",
                           milliseconds(info, info->worker_heartbeat_ns), "connected", info->worker_connected);
    /* A path that is not UTF-8 cannot stand in JSON as it is. */
    json_t *name = json_string(path);
    if (name == NULL)
        name = json_string(quote_bare(shown, sizeof shown, path, strlen(path)));
    json_t *root = json_pack(
        "{so sI ss sb sb so ss? sI sI sI sI sI sI sI so sI}", "path", name, "format", (json_int_t)info->format_version,
        "incarnation", incarnation, "same_boot", info->same_boot, "retired", info->retired, "worker", worker,
        "rules_hash", source->rules_hash != 0 ? rules : NULL, "sequence", (json_int_t)info->sequence, "changes",
        (json_int_t)info->changes, "bytes", (json_int_t)info->bytes, "buckets", (json_int_t)info->buckets, "slots",
        (json_int_t)slots(info), "slots_used", (json_int_t)info->slots_used, "buckets_overflowed",
        (json_int_t)info->buckets_overflowed, "watermark_age_ms", milliseconds(info, info->watermark_ns),
        "ping_interval_ms", (json_int_t)info->ping_interval_ms);
    bool good = root != NULL && json_dumpf(root, out, JSON_COMPACT) == 0;
    fputc('\n', out);
    json_decref(root);
    return good;
}
