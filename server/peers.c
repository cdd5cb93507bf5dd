/* server/peers.c - see peers.h. */
#include "server/peers.h"

#include "base/labels.h"
#include "base/mem.h"
#include "base/obj.h"
#include "server/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

struct peer {
    char *name; /* owned; NULL: all further ones */
    struct ingest_times t;
};

struct peers {
    unsigned magic;
#define PEERS_MAGIC 0x9ee25c10u
    pthread_mutex_t mutex; /* guards the rest */
    struct peer v[PEERS_MAX + 1];
    size_t n;
};

struct peers *peers_new(void)
{
    struct peers *p = mem_new(sizeof(*p));

    p->magic = PEERS_MAGIC;
    (void)pthread_mutex_init(&p->mutex, NULL); /* cannot fail for a default mutex here */
    return p;
}

void peers_free(struct peers **pp)
{
    struct peers *p = *pp;

    if (p == NULL)
        return;
    OBJ_CHECK(p, PEERS_MAGIC);
    for (size_t i = 0; i < p->n; i++)
        free(p->v[i].name);
    (void)pthread_mutex_destroy(&p->mutex);
    p->magic = 0;
    free(p);
    *pp = NULL;
}

static struct peer *find(struct peers *p, struct str name)
{
    for (size_t i = 0; i < p->n && i < PEERS_MAX; i++)
        if (str_eq(str_of(p->v[i].name), name))
            return &p->v[i];
    if (p->n < PEERS_MAX)
        p->v[p->n++].name = mem_dup(name.p, name.n);
    else
        p->n = PEERS_MAX + 1;
    return &p->v[p->n - 1];
}

void peers_note(struct peers *p, struct str peer, const struct ingest_times *t)
{
    struct peer *at;

    metric_add(METRIC_INGEST_AHEAD, t->ahead);
    metric_add(METRIC_INGEST_LATE, t->late);
    if (p == NULL || t->ahead + t->late == 0)
        return;
    OBJ_CHECK(p, PEERS_MAGIC);
    (void)pthread_mutex_lock(&p->mutex);
    at = find(p, peer);
    at->t.ahead += t->ahead;
    at->t.late += t->late;
    (void)pthread_mutex_unlock(&p->mutex);
}

static void write_one(struct buf *out, const char *name, const struct peer *at, uint64_t value)
{
    buf_addf(out, "%s{peer=", name);
    quote_add(out, at->name == NULL ? STR("(others)") : str_of(at->name));
    buf_addf(out, "} %" PRIu64 "\n", value);
}

void peers_write(struct peers *p, struct buf *out)
{
    static const char AHEAD[] = "logq_ingest_peer_records_ahead_total";
    static const char LATE[] = "logq_ingest_peer_records_late_total";

    if (p == NULL)
        return;
    OBJ_CHECK(p, PEERS_MAGIC);
    (void)pthread_mutex_lock(&p->mutex);
    for (size_t i = 0; i < p->n; i++) {
        if (i == 0)
            buf_addf(out,
                     "# HELP %s records ahead of their receipt, by sender\n# TYPE %s counter\n",
                     AHEAD, AHEAD);
        write_one(out, AHEAD, &p->v[i], p->v[i].t.ahead);
    }
    for (size_t i = 0; i < p->n; i++) {
        if (i == 0)
            buf_addf(out, "# HELP %s records of days before, by sender\n# TYPE %s counter\n", LATE,
                     LATE);
        write_one(out, LATE, &p->v[i], p->v[i].t.late);
    }
    (void)pthread_mutex_unlock(&p->mutex);
}
