/*
 * collector/tail_process.c - contract: tail_turn.h.  What the profile does to a record.
 *
 * What becomes of a record follows from its bytes, its place, and a state of a few bits: which
 * rates are used up, and in which stream a private key is open or a record was cut off.  The state
 * is written into each part as it was where the part begins; when a line changes it the part ends
 * behind that line, when a rate opens for a line, in front of it.  So a part that is built again
 * has the same records, whatever was read in between.
 */
#include "base/hash.h"
#include "base/obj.h"
#include "collector/keep.h"
#include "collector/metrics.h"
#include "collector/tail_turn.h"

#include <string.h>

enum {
    KEY_LOOK_BYTES = 16 << 10,
    KEYS = CHECKPOINT_KEY_STDOUT | CHECKPOINT_KEY_STDERR | CHECKPOINT_KEY_MAYBE,
    CUTS = CHECKPOINT_CUT_STDOUT | CHECKPOINT_CUT_STDERR,
};

/* ---- state ---- */

static bool has_key_detector(const struct profile *p)
{
    return (p->redact_types >> REDACT_PRIVATE_KEY & 1) != 0;
}

/* Of the file's state what its profile asks about. */
static unsigned keys_of(const struct tail *t)
{
    if (t->profile->redact == NULL)
        return 0;
    return has_key_detector(t->profile) ? t->keys : t->keys & CUTS;
}

void turn_begin_state(struct turn *u)
{
    u->closed = tail_rates(u->t)->closed;
    u->keys = keys_of(u->t);
    u->border = false;
}

void turn_set_state(struct turn *u, const struct checkpoint_part *part)
{
    u->others = part->rules != u->t->profile->mark;
    tail_rates(u->t)->closed =
        u->others ? 0 : part->closed; /* which rates that is about nobody knows */
    u->t->keys = part->flags & (KEYS | CUTS);
    turn_begin_state(u);
}

void turn_put_state(const struct turn *u, struct checkpoint_part *part)
{
    part->closed = (uint16_t)u->closed;
    part->rules = u->t->profile->mark;
    part->flags |= (uint16_t)u->keys;
}

/* ---- rules ---- */

static uint64_t place_of(const struct join_record *rec)
{
    uint64_t place[2] = {rec->end, 0};

    if (rec->file != NULL)
        place[1] = rec->file->no << 32 ^ rec->file->salt;
    return hash_bytes(place, sizeof(place), 0);
}

static void drop(struct turn *u, const struct rules_record *r, const struct rules_decision *d)
{
    uint64_t packed = r->line.n;

    if (u->whole) { /* it was counted when it was planned, unless by other rules: tail_rebuild */
        u->dropped++;
        u->dropped_bytes += r->line.n;
        return;
    }
    for (size_t i = 0; i < r->n_attrs; i++)
        packed += r->attrs[i].name.n + r->attrs[i].value.n;
    chunk_add_drop(u->c, u->t->file, rules_name(u->t->profile->rules, d->rule), r->line.n, packed);
    rules_dropped(d, r->line.n);
}

/* One more in a rate; it may be used up by that, or open again. */
static void count_rate(struct turn *u, const struct rules_decision *d, ts_ns ts)
{
    struct rules_rates *rates = tail_rates(u->t);

    if (u->whole)
        return; /* the part says what was used up */
    rules_count_in(u->t->profile->rules, d, ts, rates);
    u->border = u->border || rates->closed != u->closed;
}

bool turn_reopens(struct turn *u, ts_ns ts)
{
    const struct profile *profile = u->t->profile;

    if (u->c == NULL || u->whole)
        return false;
    return rules_reopen_in(profile->rules, profile->of, ts, tail_rates(u->t));
}

static bool keeps(struct turn *u, const struct join_record *rec, const struct label *v, size_t n)
{
    const struct profile *profile = u->t->profile;
    struct rules_record r = {.line = rec->text,
                             .stream = rec->stream,
                             .ts = rec->ts,
                             .labels = &u->t->labels,
                             .attrs = v,
                             .n_attrs = n,
                             .place = place_of(rec)};
    struct rules_decision d = rules_decide(profile->rules, profile->of, u->closed, &r);

    if (d.limit != 0)
        count_rate(u, &d, rec->ts);
    if (d.by != RULES_KEEP)
        drop(u, &r, &d);
    return d.by == RULES_KEEP;
}

/* ---- secrets ---- */

/* In the stream of `bit` a key goes on behind this line, or not. */
static void set_key(struct tail *t, unsigned bit, bool is_open)
{
    if (is_open && (t->keys & CHECKPOINT_KEY_MAYBE) != 0)
        t->keys = (t->keys & CUTS) | bit; /* now it is known */
    else
        t->keys = is_open ? t->keys | bit : t->keys & ~bit;
    if ((t->keys & KEYS) == CHECKPOINT_KEY_MAYBE)
        t->keys &= CUTS;
}

/* A line may bring two records, the one that it ends and itself: so the state is the file's, which
 * the first of them has changed. */
static void redact_line(struct turn *u, const struct join_record *rec, struct str *text)
{
    struct tail *t = u->t;
    bool is_stderr = rec->stream == DECODE_STDERR, has_keys = has_key_detector(t->profile);
    unsigned key = is_stderr ? CHECKPOINT_KEY_STDERR : CHECKPOINT_KEY_STDOUT;
    unsigned cut = is_stderr ? CHECKPOINT_CUT_STDERR : CHECKPOINT_CUT_STDOUT;
    bool maybe = (t->keys & CHECKPOINT_KEY_MAYBE) != 0;
    struct redact_flow flow = {
        .in_key = has_keys && (t->keys & key) != 0 && (!maybe || redact_is_key_line(*text)),
        .begins_cut = (t->keys & cut) != 0,
        .ends_cut = rec->partial || rec->total > rec->text.n,
    };

    redact_text(t->profile->redact, text, &flow, &u->rd->redacted);
    if (has_keys)
        set_key(t, key, flow.in_key);
    t->keys = rec->partial ? t->keys | cut : t->keys & ~cut;
    u->border = u->border || keys_of(t) != u->keys;
}

/* The value lives as long as the chunk is filled, for the scratch is used again. */
static void redact_value(struct turn *u, struct str *value)
{
    struct str clean = *value;

    redact_text(u->t->profile->redact, &clean, NULL, &u->rd->redacted);
    if (clean.p == value->p)
        return;
    *value = arena_str(u->c->arena, clean);
    if (value->p == NULL)
        *value = STR("[redacted]"); /* no room: rather too much than too little */
}

void turn_look(struct turn *u, const struct join_record *rec)
{
    struct str text = rec->text;

    redact_line(u, rec, &text);
    u->keys = keys_of(u->t); /* there are no parts */
}

/* The first line that begins at `at` or behind it, t->pos if there is none. */
static uint64_t next_line(struct tail *t, struct tail_reader *rd, uint64_t at)
{
    size_t want = t->pos - at < rd->cap ? (size_t)(t->pos - at) : rd->cap;
    ssize_t n = reader_read(&t->from, rd->buf, want, at - 1);
    const char *nl = n <= 0 ? NULL : memchr(rd->buf, '\n', (size_t)n);

    return nl == NULL ? t->pos : at + (uint64_t)(nl - rd->buf);
}

/* What is open at pos was given up as a record, or is held: only resuming tells. */
static void look_at_open(struct turn *u, struct tail_given_up *ret)
{
    struct tail *t = u->t;
    struct join_record rec;

    for (int s = 0; s < DECODE_STREAMS; s++) {
        unsigned keys = t->keys;
        ret->is_open[s] = join_flush(&t->join, (enum decode_stream)s, &rec) == 0;
        if (ret->is_open[s])
            turn_look(u, &rec);
        ret->keys[s] = t->keys;
        t->keys = keys;
        join_done(&t->join, (enum decode_stream)s, &u->rd->limits);
    }
}

void tail_look_back(struct tail *t, struct tail_reader *rd, struct tail_given_up *ret)
{
    uint64_t first = t->from.kept != NULL ? keep_reader_start(t->from.kept) : 0;
    uint64_t at = t->pos < first + KEY_LOOK_BYTES ? first : t->pos - KEY_LOOK_BYTES;
    struct join held = t->join; /* what the file before has handed over is no business of ours */
    struct turn u;
    ts_ns last = t->last_ts;
    bool stopped;
    struct err err;

    memset(ret, 0, sizeof(*ret));
    if (t->profile->redact == NULL || t->pos == 0) /* with nothing in front of pos all is said */
        return;
    memset(&t->join, 0, sizeof(t->join));
    if (at > first)
        at = next_line(t, rd, at);
    u = turn_begin(t, rd, NULL, at);
    u.look = true;
    t->keys = KEYS; /* what was before that? */
    u.keys = keys_of(t);
    (void)turn_lines(&u, &at, t->pos, UINT64_MAX, &stopped, &err); /* reading on tells */
    if (at < t->pos)                                               /* it was given up as it was */
        (void)turn_last_line(&u, at, t->pos, &err);
    look_at_open(&u, ret);
    join_fini(&t->join, &rd->limits);
    t->join = held;
    rd->fills.n = 0;
    t->last_ts = last;
}

void tail_was_given_up(struct tail *t, const struct tail_given_up *g)
{
    static const unsigned BITS[DECODE_STREAMS] = {
        [DECODE_NONE] = CHECKPOINT_KEY_STDOUT | CHECKPOINT_CUT_STDOUT,
        [DECODE_STDOUT] = CHECKPOINT_KEY_STDOUT | CHECKPOINT_CUT_STDOUT,
        [DECODE_STDERR] = CHECKPOINT_KEY_STDERR | CHECKPOINT_CUT_STDERR,
    };

    for (int s = 0; s < DECODE_STREAMS; s++) {
        if (!g->is_open[s] || t->join.s[s].open)
            continue;
        if ((g->keys[s] & CHECKPOINT_KEY_MAYBE) == 0 && (t->keys & CHECKPOINT_KEY_MAYBE) != 0)
            t->keys &= CUTS; /* as set_key */
        t->keys = (t->keys & ~BITS[s]) | (g->keys[s] & BITS[s]);
    }
    if ((t->keys & KEYS) == CHECKPOINT_KEY_MAYBE)
        t->keys &= CUTS;
}

bool turn_process(struct turn *u, const struct join_record *rec, struct str *text, struct label *v,
                  size_t n)
{
    const struct profile *profile = u->t->profile;
    bool kept = profile->of == 0 || keeps(u, rec, v, n);

    if (profile->redact == NULL)
        return kept;
    for (size_t i = 0; kept && i < n; i++)
        redact_value(u, &v[i].value);
    redact_line(u, rec, text); /* of dropped ones too: a key may begin in them */
    return kept;
}
