/*
 * collector/tail_process.c - contract: tail_turn.h.  What the profile does to a record.
 *
 * What becomes of a record follows from its bytes, its place, and a state of a few bits: which
 * rates are used up, and in which stream a private key is open.  The state is written into each
 * part as it was where the part begins; when it changes the part ends behind that line.  So a part
 * that is built again has the same records, whatever was read in between.
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
};

/* ---- state ---- */

static bool has_key_detector(const struct profile *p)
{
    return (p->redact_types >> REDACT_PRIVATE_KEY & 1) != 0;
}

void turn_begin_state(struct turn *u)
{
    u->closed = u->t->closed;
    u->keys = has_key_detector(u->t->profile) ? u->t->keys : 0;
    u->border = false;
}

void turn_set_state(struct turn *u, const struct checkpoint_part *part)
{
    u->t->closed = part->closed;
    u->t->keys = part->flags & KEYS;
    turn_begin_state(u);
}

void turn_put_state(const struct turn *u, struct checkpoint_part *part)
{
    part->closed = (uint16_t)u->closed;
    part->flags |= (uint8_t)u->keys;
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
    static const unsigned METRICS[] = {
        [RULES_KEEP] = METRIC_DROPPED_RULE,
        [RULES_DROP] = METRIC_DROPPED_RULE,
        [RULES_SAMPLE] = METRIC_DROPPED_SAMPLE,
        [RULES_RATE] = METRIC_DROPPED_RATE,
    };

    uint64_t packed = r->line.n;

    if (u->whole)
        return; /* it was counted when it was planned */
    for (size_t i = 0; i < r->n_attrs; i++)
        packed += r->attrs[i].name.n + r->attrs[i].value.n;
    chunk_add_drop(u->c, u->t->file, rules_name(u->t->profile->rules, d->rule), r->line.n, packed);
    metric_add(METRICS[d->by], 1);
    metric_add(METRIC_DROPPED_BYTES, r->line.n);
}

/* One more in a rate; it may be used up by that, or open again. */
static void count_rate(struct turn *u, const struct rules_decision *d, ts_ns ts)
{
    struct tail *t = u->t;

    if (u->whole)
        return; /* the part says what was used up */
    if (t->buckets == NULL)
        t->buckets = mem_new(RULES_BUCKETS * sizeof(*t->buckets));
    t->closed = rules_count(t->profile->rules, d, ts, t->buckets, t->closed);
    u->border = u->border || t->closed != u->closed;
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

static void redact_line(struct turn *u, const struct join_record *rec, struct str *text)
{
    struct tail *t = u->t;
    unsigned bit = rec->stream == DECODE_STDERR ? CHECKPOINT_KEY_STDERR : CHECKPOINT_KEY_STDOUT;
    /* As it was where the part begins, also for the second record of one line. */
    bool maybe = (u->keys & CHECKPOINT_KEY_MAYBE) != 0;
    bool in_key = (u->keys & bit) != 0 && (!maybe || redact_is_key_line(*text));

    if (!has_key_detector(t->profile)) {
        redact_text(t->profile->redact, text, NULL, &u->rd->redacted);
        return;
    }
    redact_text(t->profile->redact, text, &in_key, &u->rd->redacted);
    if (maybe && in_key)
        t->keys = bit; /* now it is known */
    else
        t->keys = in_key ? t->keys | bit : t->keys & ~bit;
    if (t->keys == CHECKPOINT_KEY_MAYBE)
        t->keys = 0;
    u->border = u->border || t->keys != u->keys;
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
    u->keys = u->t->keys; /* there are no parts */
}

void tail_look_for_key(struct tail *t, struct tail_reader *rd)
{
    uint64_t first = t->from.kept != NULL ? keep_reader_start(t->from.kept) : 0;
    uint64_t at = t->pos < first + KEY_LOOK_BYTES ? first : t->pos - KEY_LOOK_BYTES;
    struct turn u = turn_begin(t, rd, NULL, at);
    ts_ns last = t->last_ts;
    bool stopped;
    struct err err;

    if (!has_key_detector(t->profile))
        return;
    u.look = true;
    if (at == first) /* what was before that? */
        u.keys = t->keys = KEYS;
    (void)turn_lines(&u, &at, t->pos, UINT64_MAX, &stopped, &err); /* reading on tells */
    for (int s = 0; s < DECODE_STREAMS; s++)
        join_done(&t->join, (enum decode_stream)s, &rd->limits);
    rd->fills.n = 0;
    t->last_ts = last;
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
