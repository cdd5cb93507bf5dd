/*
 * wire/loop.h - one uv loop per thread: start, post, timers, drain, close everything.
 *
 * An object of wire/ belongs to the loop it was made on and is touched by that loop's thread alone.
 * The only calls for other threads are loop_post, loop_post_patient and loop_stop.  What crosses
 * goes through a mutex-guarded list inside loop_post (uv_async_send only wakes).
 */
#ifndef LOGQ_WIRE_LOOP_H
#define LOGQ_WIRE_LOOP_H

#include "base/err.h"
#include "base/time.h"

struct loop;
struct uv_loop_s;
typedef void loop_fn(void *arg);

/* The first one also makes the program ignore SIGPIPE, unless it handles that itself. */
int loop_new(struct loop **ret, struct err *err);
struct uv_loop_s *loop_uv(struct loop *l); /* for handles that wire has no word for; loop thread */

/* What this loop does is little and somebody waits for it: its thread, the calling one, goes before
 * others (base/priority, PRIORITY_PROMPT and its pace).  Loop thread. */
void loop_be_prompt(struct loop *l);

/* Run on the calling thread until loop_stop. */
void loop_run(struct loop *l);
/* Run on a thread of its own named `name` (<= 15 bytes), all signals blocked.  loop_join waits for
 * its end. */
int loop_start(struct loop *l, const char *name, struct err *err);
void loop_join(struct loop *l);

/* Call fn(arg) on the loop's thread, in order of posting.  Any thread.  After loop_stop has taken
 * effect the call is dropped and false returned; then `arg` stays the caller's. */
bool loop_post(struct loop *l, loop_fn *fn, void *arg);
/* The same for what can wait: in order among themselves, and in turn with the other patient work of
 * the loop (loop_priv.h), so that many such calls do not hold up what came by loop_post. */
bool loop_post_patient(struct loop *l, loop_fn *fn, void *arg);
void loop_stop(struct loop *l);             /* any thread */
bool loop_is_current(const struct loop *l); /* am I on its thread? */

/* Close whatever is still open, run the close callbacks, free.  After loop_run returned or
 * loop_join.  Streams and HTTP requests end with ERR_CANCELLED; then listeners and timers that
 * nobody freed are gone too.  An http_server must be closed before. */
void loop_free(struct loop **pl);

/* A timer; fn(arg) on the loop thread.  repeat_ms 0: once. */
struct loop_timer;
struct loop_timer *loop_timer_new(struct loop *l, loop_fn *fn, void *arg);
void loop_timer_start(struct loop_timer *t, uint64_t delay_ms, uint64_t repeat_ms); /* restarts */
void loop_timer_stop(struct loop_timer *t);
void loop_timer_free(struct loop_timer **pt); /* stops; fn is not called any more */

/* Signal handler on the loop; lives until loop_free. */
typedef void loop_signal_fn(void *arg, int signum);
int loop_on_signal(struct loop *l, int signum, loop_signal_fn *fn, void *arg, struct err *err);

#endif
