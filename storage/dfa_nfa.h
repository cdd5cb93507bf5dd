/*
 * storage/dfa_nfa.h - what a filter looks for, on its way to an automaton: tree, then nodes.
 *
 * The tree is made by dfa_parse.c from text or a pattern; dfa_nfa.c turns it into nodes that eat a
 * byte, fork, or look at what is around them; dfa.c makes states of sets of nodes.  One thread.
 */
#ifndef LOGQ_STORAGE_DFA_NFA_H
#define LOGQ_STORAGE_DFA_NFA_H

#include "base/arena.h"
#include "base/vec.h"

/* Bytes that a place takes; of those in `unknown` only base/regexp can tell. */
struct dfa_set {
    uint64_t yes[4], unknown[4];
};

static inline bool dfa_set_has(const uint64_t bits[4], unsigned byte)
{
    return (bits[byte / 64] >> (byte % 64) & 1) != 0;
}

static inline void dfa_set_add(uint64_t bits[4], unsigned byte)
{
    bits[byte / 64] |= UINT64_C(1) << (byte % 64);
}

enum dfa_look { DFA_LOOK_BEGIN, DFA_LOOK_END, DFA_LOOK_WORD };

enum dfa_tree_kind {
    DFA_TREE_EMPTY,
    DFA_TREE_CHAR,   /* one byte of `set`, or `extra` */
    DFA_TREE_LOOK,   /* no byte */
    DFA_TREE_CAT,    /* children one after the other */
    DFA_TREE_ALT,    /* one of the children */
    DFA_TREE_REPEAT, /* the child, min to max times */
};

enum { DFA_MANY = -1 }; /* no maximum */

struct dfa_tree {
    enum dfa_tree_kind kind;
    enum dfa_look look;
    int min, max;
    struct dfa_tree *last;   /* child: of CAT and ALT the last, from there by `before` */
    struct dfa_tree *before; /* sibling */
    struct dfa_set set;
    struct str extra; /* CHAR: bytes that may stand in its place; static */
};

/* dfa_parse.c.  Trees are in `a`.  1: the pattern uses what is not known here; ERR_NOMEM, ERR_LIMIT
 * when the arena is full. */
int dfa_parse_literal(struct str text, struct arena *a, struct dfa_tree **ret, struct err *err);
int dfa_parse_regexp(struct str pattern, struct arena *a, struct dfa_tree **ret, struct err *err);

/* A text that is in everything the tree matches, for finders: byte i is byte[i], or with fold[i]
 * != 0 also byte[i] ^ fold[i]. */
enum { DFA_NEEDLE_MAX = 64 };
struct dfa_needle {
    size_t n; /* 0: nothing can be said */
    uint8_t byte[DFA_NEEDLE_MAX], fold[DFA_NEEDLE_MAX];
    bool ascii; /* true of texts without bytes above 0x7f */
    bool whole; /* it is all that is looked for: a text with it matches */
};
void dfa_nfa_needle(const struct dfa_tree *t, struct dfa_needle *ret);

enum dfa_node_op { DFA_NODE_BYTES, DFA_NODE_FORK, DFA_NODE_LOOK, DFA_NODE_FOUND };

struct dfa_node {
    enum dfa_node_op op;
    uint32_t arg;       /* BYTES: index of set; LOOK: enum dfa_look */
    uint32_t out, out2; /* FORK has both */
};

enum { DFA_NODES_MAX = 1 << 14, DFA_SETS_MAX = 1 << 10 };

struct dfa_nfa {
    VEC(struct dfa_node) node;
    VEC(struct dfa_set) set;
    uint32_t start;
    bool words; /* some node looks at the edge of a word */
    bool over;  /* too large: not usable */
};

/* Nodes for "one of the trees is somewhere in the line".  Release with dfa_nfa_fini. */
void dfa_nfa_init(struct dfa_nfa *n, struct dfa_tree *const *tree, size_t n_trees);
void dfa_nfa_fini(struct dfa_nfa *n);

#endif
