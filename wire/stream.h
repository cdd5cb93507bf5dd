/*
 * wire/stream.h - a byte stream over TCP, a unix socket, or TLS on either, with high-water marks.
 *
 * TLS is a filter inside (OpenSSL over memory BIOs), so Forward, HTTPS server and client are
 * written once. All on the loop's thread, but the steps of a handshake that we did not begin
 * (tls_shake.h).  Life of a stream:
 *
 *     stream_connect or an accepted one -> opened (handshake done) -> data ... -> closed
 *
 * With TLS 1.3 a client is done before the server has judged its certificate: a refusal comes as
 * `closed` some time after `opened`.  The peer's FIN ends a stream in both directions: what is
 * queued is flushed, then `closed`; while paused it is not noticed.
 *
 * `closed` is the last callback and comes exactly once, always from the loop, never from inside a
 * call; after it returns the stream is gone.  stream_close may be called any time before, from
 * callbacks too.
 */
#ifndef LOGQ_WIRE_STREAM_H
#define LOGQ_WIRE_STREAM_H

#include "base/err.h"
#include "base/str.h"
#include "wire/loop.h"
#include "wire/tls_ctx.h"

#include <stdbool.h>
#include <sys/types.h>

struct stream;

struct stream_handler {
    void (*opened)(struct stream *s, void *arg); /* may be NULL */
    void (*data)(struct stream *s, struct str bytes,
                 void *arg); /* bytes are valid during the call */
    void (*drained)(struct stream *s,
                    void *arg); /* after is_full: below the low mark; may be NULL */
    /* why->code is 0 for an orderly end by the peer or by stream_close, else what broke it.  Bytes
     * that were not written yet are lost. */
    void (*closed)(struct stream *s, const struct err *why, void *arg);
};

struct stream_options {
    struct tls_ctx *tls;          /* NULL: in the clear; the stream takes a reference of its own */
    const char *server_name;      /* client: name to check in the certificate (a DNS name or an IP);
                                     NULL: the host of the address */
    uint64_t connect_ms;          /* client: connect and handshake deadline, 0: 10,000 */
    int connected_fd;             /* client: a unix socket that is connected to `address` already,
                                     the stream's from success on; 0: connect */
    uint64_t handshake_ms;        /* server: 0: 10,000 */
    size_t high_bytes, low_bytes; /* write side; 0: 1 MiB and 256 KiB */
};

/* Addresses: "127.0.0.1:3100", "[::1]:3100", "localhost:3100" (resolved), "unix:/path". */
int stream_connect(struct loop *l, const char *address, const struct stream_options *opt,
                   const struct stream_handler *h, void *arg, struct stream **ret, struct err *err);

struct listener;
/* A new connection; the callee must stream_set_handler before it returns.  `opened` comes after the
 * handshake. */
typedef void listener_fn(struct stream *s, void *arg);

struct listener_options {
    struct stream_options stream;
    bool reuse_port;  /* SO_REUSEPORT: several loops listen on one address */
    mode_t unix_mode; /* 0: 0600 */
    unsigned
        max_streams; /* connections at once; more are accepted and closed, counted.  0: 10,000 */
    /* Over max_streams: end one that nobody misses, for the new one; false: there is none.  Called
     * with the arg of the listener_fn.  NULL: the new one is closed. */
    bool (*make_room)(void *arg);
    unsigned backlog; /* 0: 512 */
    int bound_fd; /* of listener_bind_unix, for who may make no such socket; taken, also when that
                     fails; its file stays.  0: we bind ourselves */
};
/*
 * Only bind a socket to "unix:/path", for a listener of a process that we fork.  The file gets
 * `mode`; one that nobody answers on is replaced.  The caller owns *ret, and the file.  ERR_EXISTS:
 * somebody does, or it is no socket.
 */
int listener_bind_unix(const char *address, mode_t mode, int *ret, struct err *err);
/*
 * Give the socket file `path`, which we have just bound, its mode, and its group unless that is
 * (gid_t)-1.  Whoever may write in its directory may have put something else there: no link is
 * followed, and nothing but a socket of ours without another name is changed.  ERR_DENIED: it is
 * none.
 */
int listener_give_unix(const char *path, mode_t mode, gid_t gid, struct err *err);
int listener_open(struct loop *l, const char *address, const struct listener_options *opt,
                  listener_fn *fn, void *arg, struct listener **ret, struct err *err);
/* "127.0.0.1:41873", also when port 0 was asked for.  Lives with the listener. */
const char *listener_address(const struct listener *ls);
/* For connections accepted from now on (certificate reload). */
void listener_set_tls(struct listener *ls, struct tls_ctx *tls);
uint64_t
listener_refused(const struct listener *ls); /* closed over max_streams, or failed handshakes */
uint64_t
listener_starved(const struct listener *ls); /* pauses of accepting for want of descriptors */
void listener_close(struct listener **pls);  /* accepted streams live on */

void stream_set_handler(struct stream *s, const struct stream_handler *h, void *arg);

/* Queue a copy of `bytes`.  Never blocks; after close it is ignored.  A Forward ack is one call,
 * hence one TLS record and one write. */
void stream_write(struct stream *s, struct str bytes);
bool stream_is_full(const struct stream *s);   /* above the high mark: wait for `drained` */
size_t stream_pending(const struct stream *s); /* bytes queued */

void stream_pause(
    struct stream *s); /* no `data` until resume; what TLS has decrypted already is kept back */
void stream_resume(struct stream *s);

/* With TLS: what the peer of a patient stream sends is decrypted and handed on when the loop has
 * nothing more urgent to do (loop_priv.h).  So is every handshake; after it a stream is not patient
 * unless it was told so, at any time. */
void stream_set_patient(struct stream *s, bool patient);

/* Flush what is queued (10 s without progress is the limit), end (close_notify, FIN), and discard
 * what the peer still sends until it ends too or 2 s have passed, so that it can read our last
 * bytes; or at once when `why` is set, which `closed` then reports.  NULL: orderly. */
void stream_close(struct stream *s, const struct err *why);

/*
 * To another loop: an open, accepted stream is packed up on its own, from its `data` too, and
 * unpacked on the other's thread.  After stream_pack the old stream is gone without `closed`.
 * NULL: nothing has changed; it has not written everything yet, has ended, or there is no
 * descriptor.  After stream_unpack it is open there, without `opened`, not patient and not paused;
 * what TLS has read already comes as `data` from the loop.
 */
struct stream_parcel;
struct stream_parcel *stream_pack(struct stream *s);
struct stream *stream_unpack(struct loop *l, struct stream_parcel **pp,
                             const struct stream_handler *h, void *arg);
void stream_parcel_free(struct stream_parcel **pp); /* hangs up */

/* Who is there; views live as long as the stream. */
struct stream_peer {
    struct str address;  /* "127.0.0.1:55555", "unix" */
    struct str identity; /* from a verified client certificate: its first SAN URI, else CN; empty
                            without one */
    struct str common_name;
    bool has_uid; /* unix: SO_PEERCRED */
    uid_t uid;
    ts_ns cert_not_after; /* 0 without a certificate */
};
void stream_peer(const struct stream *s, struct stream_peer *ret);

uint64_t stream_bytes_in(const struct stream *s);  /* after decryption */
uint64_t stream_bytes_out(const struct stream *s); /* before encryption */

#endif
