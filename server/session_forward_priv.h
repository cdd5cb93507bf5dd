/*
 * server/session_forward_priv.h - what the two files of a session share: session_forward.c (bytes,
 * back-pressure, answers, the connection) and session_forward_message.c (one message).
 */
#ifndef LOGQ_SERVER_SESSION_FORWARD_PRIV_H
#define LOGQ_SERVER_SESSION_FORWARD_PRIV_H

#include "server/session_forward.h"
#include "wire/forward_auth.h"
#include "wire/forward_parse.h"

enum {
    SESSION_ANSWER_MAX = 1024,
    SESSION_TOKEN_MAX = FORWARD_TOKEN_MAX,
    SESSION_PEER_MAX = 256,
};

/* Why nothing is read. */
enum hold { HOLD_WINDOW = 1, HOLD_ACKS = 2, HOLD_DISK = 4, HOLD_MEMORY = 8, HOLD_STREAMS = 16 };

struct session_chunk {
    unsigned magic;
#define SESSION_CHUNK_MAGIC 0xc4a9e05bu
    struct store_append append;
    struct session_forward *session;
    struct session_chunk *next;
    char *bytes; /* payload; owned */
    size_t n_bytes;
    size_t charged; /* to the server's budget: all of us */
    char dedup[SESSION_PEER_MAX + SESSION_TOKEN_MAX + 128];
    char token[SESSION_TOKEN_MAX];
    size_t n_token;
    bool has_token;
    bool has_parts; /* of our collector, who understands a refusal */
    size_t n_parts; /* 0 unless has_parts */
    bool *refused;  /* of each part; owned */
    bool done;
    bool is_hello; /* the answer says what was known of that incarnation */
    uint64_t incarnation, known;
    enum store_outcome outcome;
    struct err err; /* when REFUSED or FAILED, or parts are refused */
};

enum auth_state { AUTH_NONE, AUTH_WAIT_PING, AUTH_DONE };

struct session_forward {
    unsigned magic;
#define SESSION_FORWARD_MAGIC 0x5e5510f0u
    struct session_group *group;
    struct session_forward *next, **link;                   /* in group->first */
    struct session_forward *next_stranger, **stranger_link; /* NULL: it is none (any more) */
    struct stream *stream;                                  /* NULL once closed */
    struct buf in;
    size_t charged; /* to the server's budget, for `in` */
    struct forward_frame frame;
    struct forward_limits limits;
    struct loop_timer *retry; /* of HOLD_DISK, HOLD_MEMORY, HOLD_STREAMS */
    uint64_t retry_ms;
    dur_ns starved_since;    /* 0: memory is there */
    struct loop_timer *rest; /* of a message, or PING, that is due */
    bool waits_for_rest;
    size_t had; /* in `in` when `rest` was started */
    char peer[SESSION_PEER_MAX];
    char tenant[160];
    struct buf decided;
    bool own;                       /* may send parts */
    struct collectors_entry *entry; /* ours; NULL: it has not said hello */
    uint64_t incarnation;           /* of its hello */
    bool said_hello;                /* once: there are only so many entries, for all senders */
    bool opened, draining;
    bool gives_way; /* to another, and says no more */
    unsigned held;  /* enum hold, or-ed */
    enum auth_state auth_state;
    struct forward_auth auth;
    struct session_chunk *queue, **queue_end;
    size_t queued_bytes; /* charged for the queue */
};

/* ---- session_forward.c ---- */

static inline struct mem_budget *session_forward_budget(const struct session_forward *s)
{
    return &s->group->server->memory;
}
/* Read no more, and look again later. */
void session_forward_wait(struct session_forward *s, enum hold why);
bool session_forward_disk_is_full(const struct session_forward *s);
/* It is no stranger any more. */
void session_forward_know(struct session_forward *s);
/* Answer the head of the queue as far as it is done.  May free the session. */
void session_forward_answer(struct session_forward *s);
void session_forward_free_chunk(struct session_chunk *c);

/* ---- session_forward_message.c ---- */

/* Take one whole message.  0: taken, answered or refused; 1: not now, the session is held;
 * ERR_NOMEM: try again later; other codes: the connection must end. */
int session_forward_take(struct session_forward *s, struct str bytes, struct err *err);

#endif
