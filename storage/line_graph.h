/*
 * storage/line_graph.h - what must be read of one template's rows to know whether a filter finds
 * something in them.
 *
 * A node is (slot, state of the automaton before it); behind a slot each state leads to a target:
 * never, always, ask, or the node where reading goes on.  Slots that cannot change the answer are
 * no nodes.  Edges lead to later slots only.  Floor-internal to line_*.c; one thread.
 */
#ifndef LOGQ_STORAGE_LINE_GRAPH_H
#define LOGQ_STORAGE_LINE_GRAPH_H

#include "storage/dfa.h"
#include "storage/lines.h"

enum {
    LINE_NOT_YET, /* not looked at */
    LINE_NEVER,
    LINE_ALWAYS,
    LINE_ASK,  /* the automaton does not know */
    LINE_NODE, /* node i is LINE_NODE + i */
};

struct line_node {
    uint16_t slot, state;
};

/* Which states an automaton may be in behind a slot: lists, kept for equal questions. */
struct line_reach {
    uint64_t key[2];
    const uint16_t *list;
    uint32_t n;
};
enum { LINE_REACHES = 512, LINE_CLASSES = 16 };

/* The automaton's classes of bytes in each class of the stamps.  Immutable. */
struct line_eats {
    uint16_t n[LINE_CLASSES];
    uint8_t eats[LINE_CLASSES][256];
};
void line_eats_init(struct line_eats *e, const struct dfa *d);

struct line_graph {
    const struct dfa *d;          /* borrowed */
    const struct line_eats *eats; /* borrowed */
    struct arena *a;              /* borrowed: scratch, for as long as the graph lives */
    struct line_reach *reach;     /* [LINE_REACHES] */
    uint64_t *set[3];             /* of states */
    size_t words;                 /* of a set */

    const struct lines_template *t; /* the template looked at */
    const struct lines_column *column;
    uint16_t *before, *after; /* targets: [slot * n_states + state] */
    size_t cap;               /* slots that they have room for */
    VEC(struct line_node) node;
    size_t work;
    bool over; /* too large: rows must be written out */
    bool full; /* the arena is */
};

/* Make ready for the automaton `d`.  ERR_NOMEM, ERR_LIMIT (arena). */
int line_graph_init(struct line_graph *g, const struct dfa *d, const struct line_eats *eats,
                    struct arena *a, struct err *err);
void line_graph_fini(struct line_graph *g);

/* Look at a template of `plan`; *ret is the target of its rows.  LINE_ASK also when the graph would
 * be too large.  Nodes and targets stand until the next call. */
int line_graph_make(struct line_graph *g, const struct lines_plan *plan, size_t template,
                    unsigned *ret, struct err *err);

/* The states behind a value of a column with this stamp.  false: they are not known. */
bool line_graph_reach(struct line_graph *g, const struct slot_stamp *s, unsigned state,
                      struct line_reach *ret);

/* The targets behind slot k, by state. */
static inline const uint16_t *line_graph_after(const struct line_graph *g, size_t k)
{
    return g->after + k * g->d->n_states;
}
/* The target of a state behind a slot; the stamp may not have told of it. */
static inline unsigned line_graph_target(const uint16_t *after, unsigned state)
{
    return after[state] == LINE_NOT_YET ? LINE_ASK : after[state];
}

#endif
