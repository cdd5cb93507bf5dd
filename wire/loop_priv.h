/*
 * wire/loop_priv.h - what the objects of wire/ ask of their loop.  For wire/ only; loop thread
 * only.
 */
#ifndef LOGQ_WIRE_LOOP_PRIV_H
#define LOGQ_WIRE_LOOP_PRIV_H

#include "wire/loop.h"

#include <stddef.h>

/*
 * An object that loop_free closes when its owner did not.  LOOP_ITEM_SPEAKS: `close` begins an end
 * that calls back (a stream); the object takes itself off the list at that end.  LOOP_ITEM_SILENT:
 * closed after the last of those, `close` frees it (a timer, a listener); it is off the list by
 * then.
 */
enum loop_item_kind { LOOP_ITEM_SPEAKS, LOOP_ITEM_SILENT };

struct loop_item {
    struct loop_item *prev, *next; /* both NULL: on no list */
    void (*close)(struct loop_item *i);
};

void loop_item_add(struct loop *l, struct loop_item *i, enum loop_item_kind kind,
                   void (*close)(struct loop_item *i));
void loop_item_remove(struct loop_item *i); /* harmless when on no list */

/* loop_post for work elsewhere of an object that is LOOP_ITEM_SPEAKS of the loop until fn(arg)
 * takes it off: never dropped, for loop_free waits for it.  Any thread. */
void loop_post_awaited(struct loop *l, loop_fn *fn, void *arg);

/* Work put off until the callback that runs now has returned; fn(arg) runs before the loop sleeps.
 */
struct loop_task {
    struct loop_task *prev, *next; /* both NULL: not queued */
    struct loop *loop;
    loop_fn *fn;
    void *arg;
};

void loop_task_init(struct loop_task *t, struct loop *l, loop_fn *fn, void *arg);
void loop_task_queue(struct loop_task *t); /* no effect while queued already */
/*
 * Work that can wait: a handshake, a request for a query.  Patient tasks run one after the other in
 * the order they were queued, between looks at the sockets, for a third of the loop's time as long
 * as there is other work, and never long at once.  So what is not patient is held up by one slice
 * of them (and by a task that takes longer), however many wait.  No effect while queued already.
 */
void loop_task_queue_patient(struct loop_task *t);
void loop_task_cancel(struct loop_task *t); /* harmless when not queued */

/* Buffers shared by all streams of a loop: what is in them lasts until the read callback returns.
 */
enum {
    LOOP_READ_BYTES = 64 * 1024,  /* as read from the socket */
    LOOP_PLAIN_BYTES = 16 * 1024, /* one TLS record, decrypted */
};
char *loop_read_buffer(struct loop *l);
char *loop_plain_buffer(struct loop *l);

bool loop_is_closing(const struct loop *l); /* loop_free is at work: begin nothing new */

/* Fill `err` with ERR_IO, "FMT: libuv's words for `status`" and the errno it stands for; returns
 * the code. */
int loop_uv_err(struct err *err, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
