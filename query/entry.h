/*
 * query/entry.h - one log line on its way through a pipeline, with labels that stages may change.
 *
 * Labels are of three kinds: of the stream, of the record (attributes, "structured metadata"), and
 * parsed, which stages make.  A name is there once; a parsed label whose name is taken by one of
 * the first two is called `<name>_extracted`, and so is an attribute that clashes with a stream
 * label.  The name of a stream label stays taken when a stage drops or replaces it.  Of what
 * parsers find under one name the first counts, and what a stage once set they leave alone, even
 * when it was dropped since.
 *
 * What a stage could not do is no label but looks like two, `__error__` and `__error_details__`; a
 * field of that name in a line is a label like any other, which no filter takes for an error.
 *
 * One entry serves all records of a run.  What belongs to the current record lies in `arena`, which
 * entry_begin resets.
 */
#ifndef LOGQ_QUERY_ENTRY_H
#define LOGQ_QUERY_ENTRY_H

#include "base/record.h"

struct tmpl_run; /* query/tmpl.h */
struct distinct; /* query/distinct.h */

enum label_kind { LABEL_STREAM, LABEL_META, LABEL_PARSED, LABEL_KINDS };

struct entry_label {
    struct str name, value;
    enum label_kind kind;
    bool base;   /* a name of the stream, whatever became of the label */
    bool parsed; /* a stage has set it */
    bool gone;   /* removed */
};

struct entry {
    ts_ns ts;
    uint64_t seq;
    struct str line;
    struct str error, details; /* n == 0: none */
    struct entry_label *v;
    size_t n, cap;
    uint32_t *slots; /* hash of names to position + 1, once there are many; else NULL */
    size_t n_slots;
    bool is_limited; /* of what parsers find only `wanted` counts; see entry_limit */
    const struct str *wanted;
    size_t n_wanted, n_found;
    bool tested;            /* the scan saw to it that the stages that are `tested` let it pass */
    struct arena *arena;    /* owned; charged to the budget of the run */
    struct buf name;        /* for stages to put a label's name together */
    struct tmpl_run *tmpl;  /* owned; of stages with templates, NULL before the first */
    struct distinct *dedup; /* owned; what the stages `dedup` have seen, NULL before the first */
    struct mem_budget *budget; /* of the run, or NULL */
    size_t work;               /* steps of templates since exec_work looked */
};

void entry_init(struct entry *e, struct mem_budget *budget);
void entry_fini(struct entry *e);

/* From now on parsers need not look for other labels than these, borrowed and all different. */
void entry_limit(struct entry *e, const struct str *wanted, size_t n);
/* Stages have found all labels that are wanted: what is left of the line does not matter. */
bool entry_is_done(const struct entry *e);

/* Start on `rec` of `b`, both borrowed until the next one.  As all that add labels: ERR_NOMEM,
 * ERR_LIMIT. */
int entry_begin(struct entry *e, const struct batch *b, const struct record *rec, struct err *err);

struct entry_label *entry_find(struct entry *e, struct str name); /* NULL if absent */
struct str entry_get(struct entry *e, struct str name);           /* STR_NULL if absent */
void entry_remove(struct entry *e, struct str name);
/* Does the stream or the record have the name, so that a parser must take another? */
bool entry_is_taken(struct entry *e, struct str name);

/* What a parser found; nothing happens if a stage has set the label before.  `name` and `value`
 * must outlive the record. */
int entry_parsed(struct entry *e, struct str name, struct str value, struct err *err);
/* The same for what the query names: it replaces what was set before. */
int entry_named(struct entry *e, struct str name, struct str value, struct err *err);
/* Set a parsed label, in place of any of that name. */
int entry_set(struct entry *e, struct str name, struct str value, struct err *err);

/* Mark the entry with `__error__` and `__error_details__`, both borrowed. */
void entry_fail(struct entry *e, struct str error, struct str details);
bool entry_failed(const struct entry *e);

bool entry_has_labels(const struct entry *e); /* of any kind, `__error__` too */
/* The labels of `kind` (LABEL_KINDS: all), sorted by name, in e->arena. */
int entry_labels(struct entry *e, enum label_kind kind, struct labels *ret, struct err *err);

/* `s` with each U+FFFD and each byte that is not UTF-8 as a blank: `s` itself, or a copy in
 * e->arena; p == NULL when it is full. */
struct str entry_clean(struct entry *e, struct str s);
/* Append `key` to e->name as a label's name: trimmed, each character outside [A-Za-z0-9_] as `_`,
 * and a `_` before a digit at the very start of the name. */
void entry_add_name(struct entry *e, struct str key);
/* A copy of e->name in e->arena; p == NULL when it is full. */
struct str entry_name(struct entry *e);

#define ENTRY_ERROR   STR("__error__")
#define ENTRY_DETAILS STR("__error_details__")

#endif
