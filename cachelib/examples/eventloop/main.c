/*
 * main.c - eventloop-service: options, start, stop. Database, answers and clients are started in the order of
 * dependence; at the end the clients go first, then the queries under way, then the cache.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "answers.h"
#include "clients.h"
#include "slow_db.h"

static const char USAGE[] = "Usage: eventloop-service --table PATH [OPTION...]\n"
                            "An example of a service with an event loop and one thread, cached with libquash.\n"
                            "\n"
                            "  --table PATH          the cancellation table that this host's quashd serves\n"
                            "  --port NUMBER         on 127.0.0.1; 0, the default, takes a free one, which is printed\n"
                            "  --query-ms NUMBER     how long the database takes (200)\n"
                            "  --timeout-ms NUMBER   when a client is told that it took too long (1000)\n"
                            "  --ttl-ms NUMBER       how long a value lives at most (60000)\n"
                            "  --help\n";

enum { EXIT_USAGE = 2, GO_ON = -1, MS_MAX = 86400000 };

struct options {
    const char *table_path;
    long port, query_ms, timeout_ms, ttl_ms;
};

static int usage_error(const char *sentence)
{
    fprintf(stderr, "eventloop-service: %s; --help lists the options\n", sentence);
    return EXIT_USAGE;
}

static bool parse_number(const char *text, long min, long max, long *number)
{
    char *end;
    errno = 0;
    const long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < min || value > max)
        return false;
    *number = value;
    return true;
}

/* GO_ON, or the exit status. */
static int parse_options(struct options *options, int argc, char **argv)
{
    static const struct option LONG[] = {
        {"table", required_argument, NULL, 't'},
        {"port", required_argument, NULL, 'p'},
        {"query-ms", required_argument, NULL, 'q'},
        {"timeout-ms", required_argument, NULL, 'm'},
        {"ttl-ms", required_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    *options = (struct options){NULL, 0, 200, 1000, 60000};
    for (int option; (option = getopt_long(argc, argv, "", LONG, NULL)) != -1;) {
        bool good = true;
        switch (option) {
        case 't':
            options->table_path = optarg;
            break;
        case 'p':
            good = parse_number(optarg, 0, 65535, &options->port);
            break;
        case 'q':
            good = parse_number(optarg, 0, MS_MAX, &options->query_ms);
            break;
        case 'm':
            good = parse_number(optarg, 1, MS_MAX, &options->timeout_ms);
            break;
        case 'l':
            good = parse_number(optarg, 1, MS_MAX, &options->ttl_ms);
            break;
        case 'h':
            fputs(USAGE, stdout);
            return EXIT_SUCCESS;
        default:
            return usage_error("unknown option, or one without its value");
        }
        if (!good)
            return usage_error("a port is 0 to 65535, a time is a number of milliseconds, a day at most");
    }
    if (optind < argc)
        return usage_error("there are no arguments besides options");
    return options->table_path == NULL ? usage_error("--table is required") : GO_ON;
}

static void stop(struct ev_loop *loop, ev_signal *signal, int events)
{
    (void)signal;
    (void)events;
    ev_break(loop, EVBREAK_ALL);
}

static int serve(const struct options *options)
{
    int status = EXIT_FAILURE;
    struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
    if (loop == NULL) {
        fputs("eventloop-service: no event loop\n", stderr);
        return status;
    }
    ev_signal terminate, interrupt;
    ev_signal_init(&terminate, stop, SIGTERM);
    ev_signal_init(&interrupt, stop, SIGINT);
    ev_signal_start(loop, &terminate);
    ev_signal_start(loop, &interrupt);

    const struct answers_options answers_options = {options->table_path, (double)options->timeout_ms / 1000,
                                                    (double)options->ttl_ms / 1000};
    struct answers *answers = NULL;
    struct clients *clients = NULL;
    struct slow_db *db = slow_db_open(loop, (double)options->query_ms / 1000);
    if (db != NULL)
        answers = answers_open(loop, db, &answers_options);
    if (answers != NULL)
        clients = clients_open(loop, answers, htons((uint16_t)options->port));
    if (clients != NULL) {
        printf("127.0.0.1:%u\n", clients_port(clients));
        fflush(stdout);
        ev_run(loop, 0);
        status = EXIT_SUCCESS;
    }
    clients_close(clients);
    slow_db_close(db);
    answers_close(answers);
    ev_loop_destroy(loop);
    return status;
}

int main(int argc, char **argv)
{
    struct options options;
    const int status = parse_options(&options, argc, argv);
    return status == GO_ON ? serve(&options) : status;
}
