/*
 * base/metric.c - see metric.h.
 *
 * Counting is one relaxed atomic addition, on any thread, and never waits.  A scrape reads each
 * number once, while others go on counting; a histogram's total is the sum of the buckets that were
 * read, so that its lines agree with each other.
 *
 * Invariant: `table` is set before threads start and not changed while they run.
 */
#include "base/metric.h"

#include "base/mem.h"
#include "base/obj.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Upper bounds in seconds; text as it stands in le="". */
static const struct {
    double seconds;
    const char *text;
} BOUNDS[] = {
    {0.0005, "0.0005"}, {0.001, "0.001"}, {0.0025, "0.0025"}, {0.005, "0.005"},
    {0.01, "0.01"},     {0.025, "0.025"}, {0.05, "0.05"},     {0.1, "0.1"},
    {0.25, "0.25"},     {0.5, "0.5"},     {1, "1"},           {2.5, "2.5"},
    {5, "5"},           {10, "10"},       {30, "30"},         {60, "60"},
};

enum { N_BOUNDS = sizeof(BOUNDS) / sizeof(BOUNDS[0]) };

struct histogram {
    _Atomic uint64_t bucket[N_BOUNDS + 1]; /* not cumulative; the last is over all bounds */
    _Atomic uint64_t sum_ns;
};

struct cell {
    _Atomic uint64_t value;
    struct histogram *histogram; /* owned; NULL for the other types */
};

static struct {
    const struct metric_def *defs; /* borrowed */
    struct cell *cells;            /* owned */
    size_t n;
} table;

/* Rows with one name stand together and differ in labels: else the text would not be well-formed.
 */
static void check_defs(const struct metric_def *defs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool apart = false;
        for (size_t j = i + 1; j < n; j++) {
            bool same = strcmp(defs[i].name, defs[j].name) == 0;
            INVARIANT(!same || !apart);
            INVARIANT(!same || defs[i].type == defs[j].type);
            INVARIANT(!same || strcmp(defs[i].labels, defs[j].labels) != 0);
            apart = apart || !same;
        }
    }
}

void metric_setup(const struct metric_def *defs, size_t n)
{
    check_defs(defs, n);
    for (size_t i = 0; i < table.n; i++)
        free(table.cells[i].histogram);
    free(table.cells);
    table.defs = defs;
    table.n = n;
    table.cells = n == 0 ? NULL : mem_new(n * sizeof(*table.cells));
    for (size_t i = 0; i < n; i++) {
        if (defs[i].type == METRIC_TYPE_HISTOGRAM)
            table.cells[i].histogram = mem_new(sizeof(struct histogram));
    }
}

/* NULL: nothing was set up, e.g. in a test of something else. */
static struct cell *find_cell(unsigned id)
{
    if (table.n == 0)
        return NULL;
    INVARIANT(id < table.n);
    return &table.cells[id];
}

void metric_add(unsigned id, uint64_t n)
{
    struct cell *c = find_cell(id);

    if (c != NULL)
        atomic_fetch_add_explicit(&c->value, n, memory_order_relaxed);
}

void metric_sub(unsigned id, uint64_t n)
{
    struct cell *c = find_cell(id);

    if (c != NULL)
        atomic_fetch_sub_explicit(&c->value, n, memory_order_relaxed);
}

void metric_set(unsigned id, uint64_t value)
{
    struct cell *c = find_cell(id);

    if (c != NULL)
        atomic_store_explicit(&c->value, value, memory_order_relaxed);
}

uint64_t metric_get(unsigned id)
{
    struct cell *c = find_cell(id);

    return c == NULL ? 0 : atomic_load_explicit(&c->value, memory_order_relaxed);
}

void metric_observe(unsigned id, double seconds)
{
    struct cell *c = find_cell(id);
    size_t i = 0;

    if (c == NULL)
        return;
    INVARIANT(c->histogram != NULL);
    if (!(seconds > 0)) /* NaN, or a clock that stepped back */
        seconds = 0;
    if (seconds > 1e9)
        seconds = 1e9;
    while (i < N_BOUNDS && seconds > BOUNDS[i].seconds)
        i++;
    atomic_fetch_add_explicit(&c->histogram->bucket[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->histogram->sum_ns, (uint64_t)(seconds * 1e9),
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&c->value, 1, memory_order_relaxed);
}

/* ---- text ---- */

static void write_header(struct buf *out, const struct metric_def *def)
{
    static const char *const TYPES[] = {
        [METRIC_TYPE_COUNTER] = "counter",
        [METRIC_TYPE_GAUGE] = "gauge",
        [METRIC_TYPE_HISTOGRAM] = "histogram",
    };

    buf_addf(out, "# HELP %s ", def->name);
    for (const char *p = def->help; *p != '\0'; p++) {
        if (*p == '\\')
            buf_add(out, "\\\\", 2);
        else if (*p == '\n')
            buf_add(out, "\\n", 2);
        else
            buf_add_char(out, *p);
    }
    buf_addf(out, "\n# TYPE %s %s\n", def->name, TYPES[def->type]);
}

/* name<suffix>{labels}, with the blank that follows */
static void write_name(struct buf *out, const struct metric_def *def, const char *suffix)
{
    buf_addf(out, "%s%s", def->name, suffix);
    if (def->labels[0] != '\0')
        buf_addf(out, "{%s}", def->labels);
    buf_add_char(out, ' ');
}

static void write_histogram(struct buf *out, const struct metric_def *def, struct histogram *h)
{
    const char *comma = def->labels[0] == '\0' ? "" : ",";
    uint64_t total = 0;
    uint64_t ns = atomic_load_explicit(&h->sum_ns, memory_order_relaxed);

    for (size_t i = 0; i <= N_BOUNDS; i++) {
        total += atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
        buf_addf(out, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", def->name, def->labels, comma,
                 i < N_BOUNDS ? BOUNDS[i].text : "+Inf", total);
    }
    write_name(out, def, "_sum");
    buf_addf(out, "%" PRIu64 ".%09" PRIu64 "\n", ns / 1000000000, ns % 1000000000);
    write_name(out, def, "_count");
    buf_addf(out, "%" PRIu64 "\n", total);
}

void metric_write(struct buf *out)
{
    for (size_t i = 0; i < table.n; i++) {
        const struct metric_def *def = &table.defs[i];
        uint64_t value = metric_get((unsigned)i);
        if (i == 0 || strcmp(def->name, def[-1].name) != 0)
            write_header(out, def);
        if (def->type == METRIC_TYPE_HISTOGRAM) {
            write_histogram(out, def, table.cells[i].histogram);
            continue;
        }
        write_name(out, def, "");
        if (def->type == METRIC_TYPE_GAUGE) /* briefly below zero when a sub overtakes its add */
            buf_addf(out, "%" PRId64 "\n", (int64_t)value);
        else
            buf_addf(out, "%" PRIu64 "\n", value);
    }
}
