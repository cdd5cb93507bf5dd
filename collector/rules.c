/* collector/rules.c - contract: rules.h. */
#include "collector/rules.h"

#include "base/hash.h"
#include "base/level.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/record.h"
#include "collector/metrics.h"
#include "collector/patterns.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_BYTES = 256,
    LONG_BYTES = 256 << 10, /* a line from there on */
    LONG_SEARCHES = 16,     /* is gone through so many times for patterns, at the most */
};

struct rule {
    const struct config_rule *conf;
    char name[CONFIG_RULE_NAME_MAX];
    struct pattern *pattern;
    unsigned levels;    /* a bit each; 0: any */
    uint64_t keep_upto; /* hashes up to here are kept */
    unsigned bucket;    /* the first of its two; meaningless without a rate */
};

struct rules {
    unsigned magic;
#define RULE_SET_MAGIC 0x4a1e5c0du
    size_t n;
    bool need_level;
    struct rule v[];
};

static unsigned level_bits(const struct conf_strs *names)
{
    unsigned bits = 0;
    enum level level;

    for (size_t i = 0; i < names->n; i++)
        if (level_by_name(names->v[i], &level))
            bits |= 1u << level;
    return bits;
}

static int rule_init(struct rule *r, const struct config_rule *conf, struct err *err)
{
    r->conf = conf;
    (void)str_to_z(conf->name, r->name, sizeof(r->name));
    r->levels = level_bits(&conf->levels);
    r->keep_upto = conf->sample >= 1 ? UINT64_MAX : (uint64_t)(conf->sample * 0x1p64);
    if (conf->pattern.n == 0)
        return 0;
    return patterns_new(conf->pattern, &r->pattern, err) < 0 ? err_wrap(err, "rule %s", r->name)
                                                             : 0;
}

int rules_new(const struct config *c, struct rules **ret, struct err *err)
{
    struct rules *r = mem_new(sizeof(*r) + c->n_rules * sizeof(r->v[0]));
    unsigned bucket = 0;

    r->magic = RULE_SET_MAGIC;
    for (; r->n < c->n_rules; r->n++) {
        int failed = rule_init(&r->v[r->n], &c->rules[r->n], err);
        if (failed < 0) {
            rules_free(&r);
            return failed;
        }
        r->need_level = r->need_level || r->v[r->n].levels != 0;
        r->v[r->n].bucket = bucket;
        bucket += c->rules[r->n].rate > 0 ? 2 : 0;
    }
    INVARIANT(bucket <= RULES_BUCKETS); /* config.c counts them */
    *ret = r;
    return 0;
}

void rules_free(struct rules **pr)
{
    struct rules *r = *pr;

    if (r == NULL)
        return;
    OBJ_CHECK(r, RULE_SET_MAGIC);
    for (size_t i = 0; i < r->n; i++)
        patterns_free(&r->v[i].pattern);
    r->magic = 0;
    free(r);
    *pr = NULL;
}

bool rules_labels_fit(const struct labels *want, const struct labels *l)
{
    char glob[NAME_BYTES], value[RECORD_LABEL_VALUE_MAX + 1];

    for (size_t i = 0; i < want->n; i++) {
        struct str have = labels_get(l, want->v[i].name);
        if (have.p == NULL || fnmatch(str_to_z(want->v[i].value, glob, sizeof(glob)),
                                      str_to_z(have, value, sizeof(value)), 0) != 0)
            return false;
    }
    return true;
}

uint64_t rules_for(const struct rules *r, const struct labels *labels)
{
    uint64_t of = 0;

    OBJ_CHECK(r, RULE_SET_MAGIC);
    for (size_t i = 0; i < r->n; i++)
        if (rules_labels_fit(&r->v[i].conf->labels, labels))
            of |= UINT64_C(1) << i;
    return of;
}

const char *rules_name(const struct rules *r, size_t rule)
{
    return r->v[rule].name;
}

static uint64_t hash_str(struct str s, uint64_t seed)
{
    return hash_bytes(s.n == 0 ? "" : s.p, s.n, seed);
}

uint32_t rules_mark(const struct rules *r, uint64_t of)
{
    uint64_t h = 0;

    if (of == 0)
        return 0;
    for (; of != 0; of &= of - 1) {
        const struct rule *v = &r->v[__builtin_ctzll(of)];
        uint64_t numbers[] = {v->levels == 0 ? 0 : v->levels | LEVEL_RULE << 16,
                              v->keep_upto,
                              v->bucket,
                              (uint64_t)v->conf->then,
                              (uint64_t)v->conf->rate,
                              (uint64_t)v->conf->burst};
        h = hash_bytes(numbers, sizeof(numbers), h);
        h = hash_str(v->conf->name, h);
        h = hash_str(v->conf->line, h);
        h = hash_str(v->conf->pattern, h);
        h = hash_str(v->conf->stream, h);
    }
    return (uint32_t)(h & 0xffffff) | 1;
}

/* ---- deciding ---- */

static bool fits_stream(const struct rule *r, enum decode_stream stream)
{
    bool is_stderr = stream == DECODE_STDERR;

    if (r->conf->stream.n == 0)
        return true;
    return stream != DECODE_NONE &&
           str_eq(r->conf->stream, is_stderr ? STR("stderr") : STR("stdout"));
}

/* What was found out about a record, and what it cost. */
struct look {
    int level; /* -1: not known yet */
    unsigned searches;
};

static bool fits_level(const struct rule *r, const struct rules_record *rec, struct look *look)
{
    struct str other; /* a level that no rule can name */

    if (r->levels == 0)
        return true;
    if (look->level < 0)
        look->level = (int)level_of(rec->labels, rec->attrs, rec->n_attrs, rec->line, &other);
    return (r->levels >> look->level & 1) != 0;
}

enum answer { NO, YES, UNKNOWN };

static enum answer fits_pattern(const struct rule *r, const struct rules_record *rec,
                                struct look *look)
{
    if (r->pattern == NULL)
        return YES;
    if (rec->line.n >= LONG_BYTES && look->searches++ == LONG_SEARCHES) {
        look->searches--;
        return UNKNOWN;
    }
    return patterns_matches(r->pattern, rec->line) ? YES : NO;
}

static enum answer fits(const struct rule *r, const struct rules_record *rec, struct look *look)
{
    if (!fits_stream(r, rec->stream) ||
        (r->conf->line.n != 0 && str_find(rec->line, r->conf->line) == SIZE_MAX) ||
        !fits_level(r, rec, look))
        return NO;
    return fits_pattern(r, rec, look);
}

/* What a rule does with a record that fits it. */
static void decide(const struct rule *v, unsigned closed, const struct rules_record *rec,
                   struct rules_decision *d)
{
    if (v->conf->then == CONFIG_DROP) {
        d->by = RULES_DROP;
    } else if (v->keep_upto != UINT64_MAX &&
               hash_bytes(&rec->place, sizeof(rec->place), 0) >= v->keep_upto) {
        d->by = RULES_SAMPLE;
    } else if (v->conf->rate > 0) {
        d->limit = 1 + v->bucket + (rec->stream == DECODE_STDERR);
        d->by = (closed >> (d->limit - 1) & 1) != 0 ? RULES_RATE : RULES_KEEP;
    }
}

/* A rule that only keeps what others would drop. */
static bool only_keeps(const struct rule *v)
{
    return v->conf->then != CONFIG_DROP && v->keep_upto == UINT64_MAX && v->conf->rate == 0;
}

struct rules_decision rules_decide(const struct rules *r, uint64_t of, unsigned closed,
                                   const struct rules_record *rec)
{
    struct rules_decision d = {.by = RULES_KEEP};
    struct look look = {.level = -1};

    OBJ_CHECK(r, RULE_SET_MAGIC);
    for (; of != 0; of &= of - 1) {
        const struct rule *v = &r->v[__builtin_ctzll(of)];
        enum answer answer = fits(v, rec, &look);
        if (answer == NO || (answer == UNKNOWN && only_keeps(v)))
            continue;
        d.rule = (size_t)__builtin_ctzll(of);
        if (answer == UNKNOWN)
            d.by = RULES_UNSEARCHED;
        else
            decide(v, closed, rec, &d);
        return d;
    }
    return d;
}

/* Times that are further apart than this are not of records that follow on each other. */
static const dur_ns LEAP = NS_PER_MIN;

/* Not past our own clock, and not before 1970. */
static ts_ns time_of(const struct rules_time *t)
{
    ts_ns at = t->record < t->wall ? t->record : t->wall;

    return at < 1 ? 1 : at;
}

/* How far the times of records have come with `record`. */
static ts_ns time_of_records(struct rules_bucket *b, ts_ns record)
{
    ts_ns to = b->at;

    if (record <= to || record - to <= LEAP) {
        b->leap = 0;
        return record > to ? record : to;
    }
    if (b->leap != 0 && record >= b->leap - LEAP) /* two of them: so it was one */
        to = b->leap;
    b->leap = record > to && record - to > LEAP ? record : 0;
    return b->leap == 0 && record > to ? record : to;
}

/*
 * Let a bucket go on with a record of time `t`; returns by how much.  In the time of the records:
 * what a program wrote slowly while nobody could read it is not over its rate.  But a time that was
 * gone past already makes nothing anew, or times that come in no order, or from several clients,
 * would make tokens with each step back and forth.  Such a record counts when it arrives, so that
 * one whose clock is behind, be it by years, still has the rate.  No record takes the bucket past
 * our own clock, and a single one not far ahead of the others: it would take their time away.
 * What is made on arrival is no more than fills the bucket, for the time between two records that
 * were read late is theirs.
 */
static dur_ns go_on(struct rules_bucket *b, const struct rules_time *t, double full)
{
    ts_ns first = b->leap, to = time_of_records(b, time_of(t)); /* it comes first, then it leaps */
    ts_ns from = b->begun || first < b->at ? b->at : first;
    dur_ns since = t->mono - b->counted, on = to > from ? to - from : 0;

    b->begun = b->begun || to > b->at;
    if (to > b->at)
        b->at = to;
    if (on > 0)
        return on;
    on = (double)since < full ? since : (dur_ns)full;
    b->at += on;
    return on;
}

/* A record of time `t` finds it with what was made since. */
static void refill(struct rules_bucket *b, const struct config_rule *conf,
                   const struct rules_time *t)
{
    double rate = (double)conf->rate, burst = (double)conf->burst;

    if (b->at == 0)
        *b = (struct rules_bucket){.tokens = burst, .at = 1, .leap = time_of(t)};
    else
        b->tokens += rate * (double)go_on(b, t, burst / rate * (double)NS_PER_S) / (double)NS_PER_S;
    b->counted = t->mono;
    if (b->tokens > burst)
        b->tokens = burst;
}

/* A bucket that is used up opens again when it holds a second's worth, so that a flood makes two
 * parts a second and not two for each record. */
static bool holds_enough(const struct rules_bucket *b, const struct config_rule *conf)
{
    return b->tokens >= (double)(conf->rate < conf->burst ? conf->rate : conf->burst);
}

/* A record that does not open it leaves it as it is, and is no leap twice: it may be counted yet.
 */
static bool reopen(struct rules_bucket *b, const struct config_rule *conf,
                   const struct rules_time *t)
{
    struct rules_bucket then = *b;

    if (b->at == 0)
        return true;
    refill(&then, conf, t);
    if (!holds_enough(&then, conf))
        return false;
    then.leap = 0;
    *b = then;
    return true;
}

unsigned rules_reopen(const struct rules *r, uint64_t of, const struct rules_time *t,
                      struct rules_bucket buckets[RULES_BUCKETS], unsigned closed)
{
    for (; of != 0; of &= of - 1) {
        const struct rule *v = &r->v[__builtin_ctzll(of)];
        for (unsigned i = v->bucket; v->conf->rate > 0 && i < v->bucket + 2; i++)
            if ((closed >> i & 1) != 0 && reopen(&buckets[i], v->conf, t))
                closed &= ~(1u << i);
    }
    return closed;
}

unsigned rules_count(const struct rules *r, const struct rules_decision *d,
                     const struct rules_time *t, struct rules_bucket buckets[RULES_BUCKETS],
                     unsigned closed)
{
    struct rules_bucket *b = &buckets[d->limit - 1];
    const struct config_rule *conf = r->v[d->rule].conf;
    unsigned bit = 1u << (d->limit - 1);

    refill(b, conf, t);
    if (d->by == RULES_KEEP) /* also if another record of the same line used it up */
        b->tokens -= 1;
    if ((closed & bit) != 0)
        return holds_enough(b, conf) ? closed & ~bit : closed;
    return b->tokens < 1 ? closed | bit : closed;
}

static struct rules_time read_now(ts_ns ts)
{
    return (struct rules_time){.record = ts, .wall = time_now(), .mono = time_mono()};
}

static void need_buckets(struct rules_rates *rates)
{
    if (rates->buckets == NULL)
        rates->buckets = mem_new(RULES_BUCKETS * sizeof(*rates->buckets));
}

bool rules_reopen_in(const struct rules *r, uint64_t of, ts_ns ts, struct rules_rates *rates)
{
    unsigned before = rates->closed;
    struct rules_time t;

    if (before == 0 || of == 0)
        return false;
    t = read_now(ts);
    need_buckets(rates);
    rates->closed = rules_reopen(r, of, &t, rates->buckets, before);
    return rates->closed != before;
}

void rules_count_in(const struct rules *r, const struct rules_decision *d, ts_ns ts,
                    struct rules_rates *rates)
{
    struct rules_time t = read_now(ts);

    need_buckets(rates);
    rates->closed = rules_count(r, d, &t, rates->buckets, rates->closed);
}

void rules_dropped(const struct rules_decision *d, size_t bytes)
{
    static const unsigned METRICS[] = {
        [RULES_KEEP] = METRIC_DROPPED_RULE,
        [RULES_DROP] = METRIC_DROPPED_RULE,
        [RULES_SAMPLE] = METRIC_DROPPED_SAMPLE,
        [RULES_RATE] = METRIC_DROPPED_RATE,
        [RULES_UNSEARCHED] = METRIC_DROPPED_UNSEARCHED,
    };

    metric_add(METRICS[d->by], 1);
    metric_add(METRIC_DROPPED_BYTES, bytes);
}
