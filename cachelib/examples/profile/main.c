/*
 * main.c - profile-service: options, start, stop.
 *
 * Everything is started in the order of dependence and stopped in reverse: gate, database, cache, events, HTTP.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "events.h"
#include "gate.h"
#include "http.h"
#include "profile_cache.h"
#include "profile_db.h"

static const char USAGE[] = "Usage: profile-service --db FILE --table PATH [OPTION...]\n"
                            "An example service whose profiles are cached with libquash.\n"
                            "\n"
                            "  --db FILE          the SQLite database; made with sample profiles if it is new\n"
                            "  --table PATH       the cancellation table that this host's quashd serves\n"
                            "  --amqp-url URL     where events go (amqp://guest:guest@127.0.0.1:5672/)\n"
                            "  --listen ADDRESS   the IPv4 address to listen on (127.0.0.1)\n"
                            "  --port NUMBER      0, the default, takes a free one; the URL is printed as one line\n"
                            "  --debug            adds /debug/..., with which the demo holds a load\n"
                            "  --help\n";

struct options {
    const char *db_path, *table_path, *amqp_url;
    struct sockaddr_in address;
    bool debug;
};

enum { EXIT_USAGE = 2, GO_ON = -1 };

static int usage_error(const char *sentence)
{
    fprintf(stderr, "profile-service: %s; --help lists the options\n", sentence);
    return EXIT_USAGE;
}

static bool parse_port(const char *text, in_port_t *port)
{
    char *end;
    errno = 0;
    const long number = strtol(text, &end, 10);
    if (errno || end == text || *end || number < 0 || number > 65535)
        return false;
    *port = htons((uint16_t)number);
    return true;
}

/* GO_ON, or the exit status. */
static int parse_options(struct options *options, int argc, char **argv)
{
    static const struct option LONG[] = {
        {"db", required_argument, NULL, 'd'},       {"table", required_argument, NULL, 't'},
        {"amqp-url", required_argument, NULL, 'a'}, {"listen", required_argument, NULL, 'l'},
        {"port", required_argument, NULL, 'p'},     {"debug", no_argument, NULL, 'D'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0},
    };
    *options = (struct options){.amqp_url = "amqp://guest:guest@127.0.0.1:5672/",
                                .address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    for (int option; (option = getopt_long(argc, argv, "", LONG, NULL)) != -1;) {
        switch (option) {
        case 'd':
            options->db_path = optarg;
            break;
        case 't':
            options->table_path = optarg;
            break;
        case 'a':
            options->amqp_url = optarg;
            break;
        case 'l':
            if (inet_pton(AF_INET, optarg, &options->address.sin_addr) != 1)
                return usage_error("--listen takes an IPv4 address");
            break;
        case 'p':
            if (!parse_port(optarg, &options->address.sin_port))
                return usage_error("--port takes a number from 0 to 65535");
            break;
        case 'D':
            options->debug = true;
            break;
        case 'h':
            fputs(USAGE, stdout);
            return EXIT_SUCCESS;
        default:
            return usage_error("unknown option, or one without its value");
        }
    }
    if (optind < argc)
        return usage_error("there are no arguments besides options");
    if (!options->db_path || !options->table_path)
        return usage_error("--db and --table are required");
    return GO_ON;
}

/* Starts everything, serves until a signal comes, stops everything. */
static int serve(const struct options *options, const sigset_t *stop_signals)
{
    int status = EXIT_FAILURE;
    struct gate gate;
    gate_init(&gate);
    struct profile_db *db = profile_db_open(options->db_path);
    if (!db)
        goto fini_gate;
    struct profile_cache *cache = profile_cache_open(options->table_path, db, &gate);
    if (!cache)
        goto close_db;
    struct events *events = events_start(db, options->amqp_url);
    if (!events)
        goto close_cache;
    const struct http_parts parts = {db, cache, events, &gate, options->debug};
    struct http *http = http_start(&options->address, &parts);
    if (!http)
        goto stop_events;

    char address[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &options->address.sin_addr, address, sizeof address);
    printf("http://%s:%u\n", address, http_port(http));
    fflush(stdout);
    int signal_number;
    sigwait(stop_signals, &signal_number);
    status = EXIT_SUCCESS;

    gate_release(&gate); /* a held load would hold up the stop */
    http_stop(http);
stop_events:
    events_stop(events);
close_cache:
    profile_cache_close(cache);
close_db:
    profile_db_close(db);
fini_gate:
    gate_fini(&gate);
    return status;
}

int main(int argc, char **argv)
{
    struct options options;
    const int status = parse_options(&options, argc, argv);
    if (status != GO_ON)
        return status;

    /* Blocked before the first thread starts, so that all inherit it and only sigwait takes them. */
    sigset_t stop_signals;
    sigemptyset(&stop_signals);
    sigaddset(&stop_signals, SIGINT);
    sigaddset(&stop_signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &stop_signals, NULL);
    signal(SIGPIPE, SIG_IGN); /* a peer that went away is an error code, not the end */
    return serve(&options, &stop_signals);
}
