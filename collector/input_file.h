/*
 * collector/input_file.h - the input that reads files: which ones there are, in what order, when.
 *
 * Rotation is state, not time: a file is kept open until all of it is read and acknowledged,
 * whatever it is called by then, and the file that takes its name is read after it.  Loop thread
 * only.
 */
#ifndef LOGQ_COLLECTOR_INPUT_FILE_H
#define LOGQ_COLLECTOR_INPUT_FILE_H

#include "collector/input.h"
#include "collector/source.h"
#include "collector/spool.h"
#include "wire/loop.h"

struct input_file;

struct input_file_options {
    struct loop *loop;
    struct checkpoint *checkpoint;
    struct spool *own;        /* for gap records */
    int state_fd;             /* where spools are, and keep/ */
    size_t max_fds;           /* descriptors of the whole process; 0: enough */
    uint64_t spool_bytes;     /* for logs that were deleted before they were read; 0: 1 GiB */
    size_t max_line, quantum; /* quantum 0: 128 KiB */
    dur_ns partial_timeout;
    /* There is something to deliver. */
    void (*ready)(void *arg);
    void *arg;
};

/* `set` is shared.  Give it to the pipeline by input_file_input. */
int input_file_open(const struct input_file_options *opt, struct source_set *set,
                    struct input_file **ret, struct err *err);
struct input input_file_input(struct input_file *in);
/* A new configuration: what no glob matches any more is read as far as it is there now. */
void input_file_set_sources(struct input_file *in, struct source_set *set);
/* An engine says that container `id` has started: if there is a source of `kind` and no log of it
 * turns up within two seconds, that is a gap. */
void input_file_expect(struct input_file *in, enum source_kind kind, struct str id);
/* Look at everything now, for we are about to stop; and is all of it read that can be, but for a
 * line that is not finished? */
void input_file_look_last(struct input_file *in);
bool input_file_is_caught_up(const struct input_file *in);
/* After `stop`: what only our descriptors still hold goes to keep/, slice by slice; then done(arg).
 */
void input_file_drain(struct input_file *in, loop_fn *done, void *arg);
/* More is known, or other things, of pod `uid` (kube.h; empty: of all pods): its logs are described
 * again, from the next record on. */
void input_file_describe_again(struct input_file *in, struct str uid);
/* The journal is an old one (checkpoint_is_old): say which files may be stored already, those that
 * it does not know. */
void input_file_tell_old(struct input_file *in);
/* Chunks were acknowledged: files of which nothing more will come may be let go. */
void input_file_acked(struct input_file *in);
void input_file_free(struct input_file **pin);

size_t input_file_count(const struct input_file *in); /* files open */
/* How far behind all files are together: bytes as of the last look, which is a second ago at most;
 * age of the oldest of them now. */
struct input_file_lag {
    uint64_t bytes; /* on disk and not acknowledged */
    dur_ns age;
};
struct input_file_lag input_file_lag(const struct input_file *in);
/* Each file as JSON, [{path, id, state, size, read, acked, lag_bytes, lag_s, lost}], as of the last
 * look, which is a second ago at most.  lost: bytes of files of that name, since our start. */
void input_file_list(const struct input_file *in, struct buf *out);

#endif
