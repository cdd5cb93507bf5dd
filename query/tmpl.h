/*
 * query/tmpl.h - Go's text/template language, for line_format, label_format and texts of alerts.
 *
 * A template is compiled once into a tree that nobody changes any more (any number of threads may
 * run it), and executed per record by a `struct tmpl_run`, which belongs to one thread and keeps
 * its buffers and compiled patterns from one execution to the next.  Values and texts lie in the
 * arena that the caller gives for one execution.
 *
 * What a template can do to us is bounded: its nesting, the steps and the bytes of one execution,
 * and its output (TMPL_*_MAX).  Over a bound it fails as for any other reason of its own.
 *
 * ("Template" alone is what storage calls the constant part of a line; hence the short name.)
 */
#ifndef LOGQ_QUERY_TMPL_H
#define LOGQ_QUERY_TMPL_H

#include "base/arena.h"
#include "base/labels.h"
#include "base/record.h"
#include "base/time.h"

enum {
    TMPL_VARS_MAX = 256,       /* in one of its templates */
    TMPL_DEFINES_MAX = 64,     /* named templates */
    TMPL_TOKENS_MAX = 8192,    /* words, signs, blanks and texts: bounds the time of compiling */
    TMPL_DEPTH_MAX = 200,      /* nesting of the text, and of what it calls */
    TMPL_STEPS_MAX = 1 << 17,  /* of one execution: a node, or TMPL_STEP_BYTES bytes made or read */
    TMPL_STEP_BYTES = 128,     /* see above */
    TMPL_BYTES_MAX = 32 << 20, /* of values made in one execution */
    TMPL_OUT_MAX = RECORD_LINE_MAX /* of output */
};

/* ---- values ---- */

/* Kinds print as Go's types do; those of INT to UINT8 are in `i`. */
enum tmpl_kind {
    TMPL_NONE, /* nil, or what a map does not hold */
    TMPL_BOOL,
    TMPL_INT,
    TMPL_INT64,
    TMPL_MONTH,
    TMPL_WEEKDAY,
    TMPL_DURATION, /* ns */
    TMPL_UINT8,
    TMPL_FLOAT,
    TMPL_STRING,
    TMPL_TIME,
    TMPL_LIST,
    TMPL_MAP,
    TMPL_LABELS
};

struct zone; /* query/zone.h */

struct tmpl_value {
    enum tmpl_kind kind;
    bool boxed;   /* an element of a list or map, whose type is `interface {}` */
    int32_t nsec; /* TIME */
    union {
        bool b;
        int64_t i;
        double f;
        struct str s;
        struct {
            int64_t sec; /* since 1970-01-01 UTC */
            const struct zone *zone;
        } t;
        const struct tmpl_list *list;
        const struct tmpl_map *map;
        const struct tmpl_labels *labels;
    };
};

struct tmpl_list {
    const struct tmpl_value *v;
    size_t n;
};

struct tmpl_pair {
    struct str key;
    struct tmpl_value value;
};

struct tmpl_map {
    const struct tmpl_pair *v; /* sorted by key, each once */
    size_t n;
    const char *type; /* NULL: a map.  Else a struct, so called, in which no other field is asked */
};

/* Names and texts that are looked up, and put together only if the whole is asked for. */
struct tmpl_labels {
    void *arg;
    struct str (*get)(void *arg, struct str name);              /* STR_NULL: absent */
    int (*all)(void *arg, struct labels *ret, struct err *err); /* sorted; < 0: no memory */
};

/* ---- functions ---- */

struct tmpl_run;

/*
 * A function of the language.  `types` has one letter for each parameter: s string, i int, f
 * float64, t time, a any; `*` behind the last: any number of it.  `arg` holds n values of these
 * types.  Returns 0, or what tmpl_fail or tmpl_full returned.
 */
typedef int tmpl_fn(struct tmpl_run *r, const struct tmpl_value *arg, size_t n,
                    struct tmpl_value *ret);

struct tmpl_func {
    const char *name;
    const char *types;
    tmpl_fn *fn;
};

/* The function fails, for a reason that reads behind "error calling NAME: ". */
int tmpl_fail(struct tmpl_run *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The arena is full, or the execution made too many bytes: behind a NULL of the next two. */
int tmpl_full(struct tmpl_run *r);
/* Memory for a value, as arena_bytes and arena_alloc; counted. */
char *tmpl_bytes(struct tmpl_run *r, size_t n);
void *tmpl_alloc(struct tmpl_run *r, size_t n);
/* *ret = a copy of `text`. */
int tmpl_ret_copy(struct tmpl_run *r, struct str text, struct tmpl_value *ret);

static inline struct tmpl_value tmpl_of_str(struct str s)
{
    return (struct tmpl_value){.kind = TMPL_STRING, .s = s};
}

static inline struct tmpl_value tmpl_of_int(enum tmpl_kind kind, int64_t i)
{
    return (struct tmpl_value){.kind = kind, .i = i};
}

static inline struct tmpl_value tmpl_of_float(double f)
{
    return (struct tmpl_value){.kind = TMPL_FLOAT, .f = f};
}

static inline struct tmpl_value tmpl_of_bool(bool b)
{
    return (struct tmpl_value){.kind = TMPL_BOOL, .b = b};
}

/* ---- compiling and running ---- */

/* What a template may name.  Borrowed for the life of what is compiled with it. */
struct tmpl_env {
    const char *name; /* of the template, in messages */
    /* Besides those of text/template: sorted by name, a NULL name behind the last. */
    const struct tmpl_func *funcs;
    const char *const *vars; /* variables that are there, without $; NULL at the end; or NULL */
};

/* The functions of line_format and label_format. */
extern const struct tmpl_func tmpl_logql_funcs[];
/* Those of labels and annotations of alerts. */
extern const struct tmpl_func tmpl_alert_funcs[];

struct tmpl;

/* Compile `text`, borrowed like `a` for the life of *ret.  ERR_INVALID with Go's message, *offset
 * (may be NULL) being the byte of `text` it is about; ERR_LIMIT, ERR_NOMEM. */
int tmpl_compile(struct str text, const struct tmpl_env *env, struct arena *a,
                 const struct tmpl **ret, size_t *offset, struct err *err);

/* How many tokens it has. */
size_t tmpl_tokens(const struct tmpl *t);

/* Does the text, anywhere, use variable `name` of env->vars, or field `field` of the dot? */
bool tmpl_uses(const struct tmpl *t, struct str name, struct str field);

struct tmpl_input {
    struct tmpl_value dot;
    const struct tmpl_value *vars; /* of env->vars, in their order */
    struct str line;               /* __line__ */
    ts_ns ts;                      /* __timestamp__ */
    struct arena *arena;           /* the result and all on the way to it lie there */
};

struct tmpl_run *tmpl_run_new(void);
void tmpl_run_free(struct tmpl_run **pr);

/* 0: *ret is the output.  1: the template failed, *ret says why, as Go does.  < 0: the arena is
 * full. */
int tmpl_execute(struct tmpl_run *r, const struct tmpl *t, const struct tmpl_input *in,
                 struct str *ret, struct err *err);

/* The steps that the last execution took. */
size_t tmpl_run_steps(const struct tmpl_run *r);

#endif
