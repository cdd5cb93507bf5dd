/*
 * collector/input_file_internal.h - what the parts of input_file share: input_file.c (the seam and
 * turns), input_file_follow.c (slots, and what is followed), input_file_look.c (which file is
 * which), input_file_tick.c (from time to time), input_file_keep.c (deleted before they were read),
 * input_file_missed.c (gone before they were opened), input_file_lag.c (how far behind).
 *
 * A slot is a path that a glob matched, with the files that have had that name, oldest first; `of`
 * are the journal's entries for them, followed or not.  Invariants
 *   (1) every tail has a journal entry, tail->file->user is the tail;
 *   (2) by_inode leads to the one entry that is not dead and is that file now;
 *   (3) an entry becomes dead in input_file_lose or when all of it is acknowledged and no file of
 * it is left: what is not read of it is a gap record then.
 */
#ifndef LOGQ_COLLECTOR_INPUT_FILE_INTERNAL_H
#define LOGQ_COLLECTOR_INPUT_FILE_INTERNAL_H

#include "base/map.h"
#include "collector/input_file.h"
#include "collector/keep.h"
#include "collector/own.h"
#include "collector/tail.h"
#include "collector/watch.h"

enum { INPUT_FILE_IDS = 4096 };

struct slot {
    char *path;
    VEC(struct tail *) tails;
    VEC(struct checkpoint_file *) of;
    bool look_due;   /* it is in input_file.looks */
    bool busy;       /* it is being looked at */
    bool is_new;     /* its name came while we were looking: what it was rotated to since is ours */
    bool older_gone; /* a file was lost, and what is younger not looked at since */
    dur_ns missed_at;  /* since then a file is looked for in vain; 0: none is */
    dur_ns look_at;    /* not before; 0: with the next tick */
    unsigned retry_ms; /* that it was put off last, because something could not be read; 0: not */
    unsigned went;     /* files that had its name and have another, */
    dur_ns went_at;    /* the last of them then */
    uint64_t lost;     /* bytes of files that are not in `of` any more */
};

/* A part of a planned chunk that is built again when its file can be read. */
struct waiting_part {
    uint64_t chunk;
    size_t i;
};

struct input_file {
    unsigned magic;
#define INPUT_FILE_MAGIC 0x1f11e5edu
    struct input_file_options opt;
    struct source_set *set;
    struct tail_reader reader;
    struct watch *watch;
    struct loop_timer *tick, *rescan;
    struct own own;
    struct map *slots;    /* path -> struct slot */
    struct map *by_inode; /* dev, ino -> struct checkpoint_file */
    struct map *by_watch; /* wd -> struct tail */
    struct map *missed;   /* path or id -> struct missed of input_file_missed.c */
    struct map *failed;   /* path -> errno that was logged, as a pointer */
    VEC(struct tail *) tails;
    VEC(struct slot *) looks; /* to be looked at with the next tick */
    struct tail *ready, **ready_last;
    struct tail *waiting;        /* their server has no room; `queued` too */
    struct tail *unpacking;      /* the one packed file that is read now; NULL: none */
    const struct source *source; /* while globbing */
    dur_ns walked_at, walk_took, swept_at, told_drops_at;
    VEC(struct waiting_part) waiting_parts;
    VEC(struct checkpoint_file *) dead; /* to be forgotten once nothing of them is on its way */
    bool started, first_scan, soon;
    bool is_first; /* what is found was there before us, or before this configuration */
    ts_ns began;   /* the oldest time that a file may have which came since */
    bool has_new;  /* a file is followed that the journal may not have yet */
    struct keep *keep;
    struct loop_timer *drain;
    loop_fn *drain_done;
    void *drain_arg;
    dur_ns over_since;  /* more is pinned and kept than may be; 0: not */
    bool has_unwanted;  /* logs in keep/ that no input asks for */
    size_t drained_to;  /* tails before it are done with */
    bool keeping;       /* there is more to copy right now */
    bool look_again;    /* what is looked at is not yet as it will be */
    bool name_went;     /* a name was gone when it was opened, or another file's */
    bool unreadable;    /* something cannot be opened or read now, and may be later */
    bool unfollowed;    /* whether something is to be followed was not known in this walk */
    bool blind;         /* nor some of a directory be listed */
    bool keep_waits;    /* the same of something in keep/, which is tried again */
    dur_ns keep_at;     /* then, */
    unsigned keep_ms;   /* put off so long */
    dur_ns settled_at;  /* when all events had been taken, last */
    struct tail *found; /* what the last name that came is; NULL: nothing */
    uint64_t seen_ids[INPUT_FILE_IDS];     /* a ring: hashes of containers that we looked at, */
    uint64_t reported_ids[INPUT_FILE_IDS]; /* and of those and paths that were gone before */
    size_t next_seen, next_reported;
    struct map *unseen;     /* path -> struct unseen of input_file_missed.c */
    uint64_t unseen_others; /* of names that it has no room for, */
    dur_ns others_told_at;  /* when these were told */
};

/* input_file.c: the queue, and reports. */
void input_file_make_ready(struct input_file *in, struct tail *t);
void input_file_unready(struct input_file *in, struct tail *t);
void input_file_call_ready(struct input_file *in);
void input_file_gap(struct input_file *in, const char *cause, const struct checkpoint_file *f,
                    uint64_t start, uint64_t end);
void input_file_complain(struct input_file *in, const char *path, int why);
/* Is nothing to come of the older files of its name?  What they hold may go on in this one. */
bool input_file_is_oldest(const struct tail *t);
/* No input asks for it any more, and what was there then was read. */
bool input_file_is_over(const struct tail *t);
/* Is a part of it still to be built again? */
bool input_file_is_held_back(const struct input_file *in, const struct checkpoint_file *f);
/* Is it this file's turn?  A drained one may grow a little, too. */
bool input_file_may_read(const struct input_file *in, const struct tail *t);
/* Nothing of `t` is left to be read, and from.fd is -1: what it still holds, or what an older file
 * may hold for it, has its turn when there is room; where there is neither, or one like it in front
 * of it, it is done with, for there may be many while a server is away. */
void input_file_end(struct input_file *in, struct tail *t);
/* What was held before the start and was not read again since is lost, if there is any; what the
 * joins hold goes no further. */
void input_file_lose_held(struct input_file *in, struct tail *t, const char *cause);
/* No more of it can be read or kept: what was not read is a gap. */
void input_file_give_up(struct input_file *in, struct tail *t, const char *cause);
/* It cannot be read now: said once per file and cause, and tried again later. */
void input_file_read_failed(struct tail *t, const struct err *err);
/* The file that is read after `t`; NULL: there is none. */
struct tail *input_file_successor(const struct tail *t);

/* input_file_follow.c */
void input_file_load(struct input_file *in); /* the journal's entries into slots, at start */
/* The slot of a path, made if there is none; and gone if it is empty now. */
struct slot *input_file_slot_of(struct input_file *in, const char *path);
void input_file_slot_check(struct input_file *in, struct slot *s);
void input_file_slot_free(void *slot);
void input_file_slot_add_file(struct input_file *in, struct slot *s, struct checkpoint_file *f);
/* The file whose turn comes last: the one that is written to.  NULL: there is none. */
struct tail *input_file_newest(const struct slot *s);
/* The entry that is file (dev, ino), if any; from now on it is `f`; `f` is it no more. */
struct checkpoint_file *input_file_find_inode(const struct input_file *in, uint64_t dev,
                                              uint64_t ino);
void input_file_bind(struct input_file *in, struct checkpoint_file *f, uint64_t dev, uint64_t ino);
void input_file_drop_inode(struct input_file *in, const struct checkpoint_file *f);
/* A descriptor; -1: it is not there (in->name_went) or never to be opened; INPUT_FILE_LATER: it
 * cannot be now.  Said unless it is not there. */
enum { INPUT_FILE_LATER = -2 };
int input_file_open_log(struct input_file *in, const char *path);
/* What was found out of `path`, which is returned; r < 0: nothing, errno says why: that is said,
 * and in->unreadable set if it may be found out later.  errno is no argument: what is called for
 * `r` in the same expression may set it after it was read. */
int input_file_told(struct input_file *in, const char *path, int r);
/* A new tail, before `before` or last of slot `s`. */
void input_file_add_tail(struct input_file *in, struct slot *s, struct tail *t,
                         const struct tail *before);
/* Follow an open file as one of those that have had the name `path`, as `f` or (NULL) as a new one,
 * before `before` or last; takes `from`.  in->source is its source.  NULL: it cannot be. */
struct tail *input_file_follow(struct input_file *in, const char *path, struct reader *from,
                               struct checkpoint_file *f, const struct tail *before);
/* Its place on the disk will be another's: it is not found by its inode any more. */
void input_file_unbind(struct input_file *in, struct tail *t);
/* Nothing more of it can be read: what was not read is reported. */
void input_file_lose(struct input_file *in, struct checkpoint_file *f, const char *cause);
/* Stop following. */
void input_file_let_go(struct input_file *in, struct tail *t);
void input_file_forget_dead(struct input_file *in);

/* input_file_look.c */
void input_file_glob(struct input_file *in); /* those of the configuration, now and from now on */
void input_file_walk(struct input_file *in); /* them again */
/* `path` matches a glob of in->source.  What is followed and has that name now; NULL: nothing.
 * `listed`, or NULL: what it has just led to. */
struct tail *input_file_found(struct input_file *in, const char *path, const struct stat *listed);
/* The source whose globs match; NULL: none. */
const struct source *input_file_source_of(const struct input_file *in, const char *path);
/* `f`, which is not followed, is still looked for: nothing of it is lost yet. */
bool input_file_may_come(const struct input_file *in, const struct checkpoint_file *f);
/* Find out what became of the slot's files, and what had its name while nobody looked. */
void input_file_look(struct input_file *in, struct slot *s);
void input_file_look_later(struct input_file *in, struct slot *s);
void input_file_look_all(struct input_file *in); /* at start: slots with files nobody follows */
/* The content of `t` was replaced: look for a copy of the old one, and begin anew. */
void input_file_replaced(struct input_file *in, struct tail *t);

/* input_file_tick.c */
void input_file_soon(struct input_file *in); /* the next tick comes soon */
void input_file_tick(void *in);
void input_file_save(struct input_file *in);

/* input_file_missed.c */
enum missed_kind { MISSED_NAME, MISSED_DIR, MISSED_CONTAINER };
/* A name was there, or a container, and nothing could be opened: to be looked into a second later.
 */
void input_file_missed(struct input_file *in, enum missed_kind kind, struct str name);
void input_file_look_at_missed(struct input_file *in, dur_ns now);
/* The name was given to a file, and what in->found is now was found under it; the file that had it
 * has another.  What had it and was replaced before it could be opened is counted, and told by the
 * last of these, one record for a name and second. */
void input_file_came(struct input_file *in, const char *path, bool by_rename);
void input_file_went(struct input_file *in, const char *path);
void input_file_tell_unseen(struct input_file *in, dur_ns now);
/* The container that this is about was not missed. */
void input_file_saw(struct input_file *in, const char *path);

/* input_file_keep.c */
void input_file_take_kept(struct input_file *in); /* what was kept before, at start */
void input_file_take_kept_again(struct input_file *in, dur_ns now); /* if some could not be read */
/* Is there something of `f` in keep/ that cannot be read now? */
bool input_file_waits_in_keep(const struct input_file *in, const struct checkpoint_file *f);
void input_file_keep(struct input_file *in, dur_ns now);

/* input_file_rebuild.c: input_ops.resume of input.h. */
int input_file_resume(void *self, const struct checkpoint_chunk *plan, struct chunk *c);

/* input_file_drops.c: what rules dropped, every ten seconds, or of one file now: false if that
 * cannot be said now. */
void input_file_load_drops(struct input_file *in); /* what was told before the start */
void input_file_tell_all_drops(struct input_file *in, dur_ns now);
bool input_file_tell_drops(struct input_file *in, struct checkpoint_file *f);

/* input_file_lag.c */
void input_file_look_at_lag(struct input_file *in, dur_ns now);

#endif
