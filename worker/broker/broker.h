/*
 * broker.h - connections to the broker: connect, log in, and what went wrong in words. The files of this
 * folder are the only users of rabbitmq-c. A connection belongs to the thread that made it.
 */
#ifndef QUASHD_BROKER_H
#define QUASHD_BROKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker_url.h"

/* rabbitmq-c's headers have moved in 0.12. */
#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#endif

#define BROKER_CHANNEL     1 /* the one channel of each connection */
#define BROKER_FRAME_MAX   131072
#define BROKER_HEARTBEAT_S 10 /* RabbitMQ recommends 5 to 20 */

#define BROKER_CONNECT_TIMEOUT_MS 5000  /* for each address of the host */
#define BROKER_LOGIN_TIMEOUT_MS   10000 /* the whole handshake */
#define BROKER_RPC_TIMEOUT_MS     10000 /* each question to the broker */
#define BROKER_SILENCE_MAX_MS     20000 /* data that nobody acknowledges for so long ends the connection */

#define BROKER_PROBLEM_SIZE 1024

struct broker_identity {
    const char *name; /* what the broker shows for the connection */
    const char *version;
};

/*
 * Connects, logs in and opens BROKER_CHANNEL. NULL on failure, with a sentence in `problem` that says what failed, why,
 * and what to look at. Gives up within 0.2 s of *cancelled (may be NULL) turning true while it connects; the handshake
 * itself cannot be interrupted.
 */
amqp_connection_state_t broker_connect(const struct broker_url *url, const struct broker_identity *identity,
                                       const atomic_bool *cancelled, char problem[BROKER_PROBLEM_SIZE]);

/* Says goodbye, waiting at most `timeout_ms` for the answer, and frees. NULL is fine. */
void broker_close(amqp_connection_state_t connection, uint32_t timeout_ms);

/* Frees without a word, for a connection that is broken. NULL is fine. */
void broker_abandon(amqp_connection_state_t connection);

/* The name that the broker's cluster gives itself, or "" if it has none; into out[size], cut to fit. */
void broker_cluster_name(amqp_connection_state_t connection, char *out, size_t size);

/* The reply code of an exception (404, 403, ...), or 0 when the reply is none that the broker sent. */
unsigned broker_reply_code(const amqp_rpc_reply_t *reply);

/* What `reply`, which is not a normal one, says: `doing` ("declaring the queue") and the reason. */
void broker_reply_problem(const amqp_rpc_reply_t *reply, const char *doing, char problem[BROKER_PROBLEM_SIZE]);

/* The same for one of the library's status codes. */
void broker_status_problem(int status, const char *doing, char problem[BROKER_PROBLEM_SIZE]);

/* The same for a method by which the broker ends the channel, the connection or the consumer. False if it is none. */
bool broker_method_problem(const amqp_method_t *method, char problem[BROKER_PROBLEM_SIZE]);

/* After the broker closed the channel with an exception: confirms that and opens the channel again. */
bool broker_reopen_channel(amqp_connection_state_t connection, char problem[BROKER_PROBLEM_SIZE]);

#endif
