/*
 * storage/dfa.h - a line filter as a finite automaton over bytes.
 *
 * A filter (literals or regular expressions, any of which may be in the line) becomes one table:
 * state x byte -> state.  It answers "is any of them in this text?" in one step a byte, and, what
 * matters more, it can be run over a part of a line and go on later: with it a template is judged
 * once, and only the slots that can decide are read (line_match.h).
 *
 * What the automaton does not know for certain, it says: a byte >= 0x80 where the expression needs
 * characters (`.`, a class) leads to DFA_UNKNOWN, and who meets it asks base/regexp about the whole
 * line.  Immutable; any thread.
 */
#ifndef LOGQ_STORAGE_DFA_H
#define LOGQ_STORAGE_DFA_H

#include "storage/dfa_nfa.h"
#include "storage/scan.h"

enum { DFA_STATES_MAX = 4096 };

/* States that every automaton has; all others are from DFA_FIRST. */
enum {
    DFA_MATCH,   /* found: stays */
    DFA_UNKNOWN, /* ask base/regexp: stays */
    DFA_FIRST,   /* where a line begins */
};

struct dfa {
    unsigned magic;
#define DFA_MAGIC 0xdfa0b17eu
    uint16_t n_states, n_classes;
    uint8_t class_of[256]; /* class of each byte; n_classes - 1 is the end of the line */
    uint16_t *next;        /* [state * n_classes + class]; owned */
    bool *dead;            /* no way from here to DFA_MATCH or DFA_UNKNOWN: [state]; owned */
    /* For dfa_run: a table by byte, [state << 8 | byte], owned, NULL when it would be too large;
     * the state that most bytes do not leave; the bytes that do, as sets and for a finder: bit h
     * of leave_low[l] for byte 16 * h + l, of leave_high[l] for byte 128 + 16 * h + l. */
    uint16_t *wide;
    uint16_t idle;
    uint8_t leave_low[16], leave_high[16];
    bool leave[256];
    bool avx2;
    struct dfa_needle *needle; /* what each alternative must contain: [n_needles]; owned */
    size_t n_needles;
};

/* Make the automaton for "one of the filter's alternatives is in the line" (negation is the
 * caller's).  1: not possible within DFA_STATES_MAX or with what the expression uses; *ret is NULL.
 * ERR_NOMEM. */
int dfa_new(const struct scan_filter *f, struct dfa **ret, struct err *err);
void dfa_free(struct dfa **pd);

static inline unsigned dfa_step(const struct dfa *d, unsigned state, uint8_t byte)
{
    return d->next[(size_t)state * d->n_classes + d->class_of[byte]];
}
/* Over a piece of a line; the same, and on to the line's end: DFA_MATCH, DFA_UNKNOWN or neither. */
unsigned dfa_run(const struct dfa *d, unsigned state, struct str piece);
unsigned dfa_end(const struct dfa *d, unsigned state);

#endif
