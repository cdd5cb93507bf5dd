/*
 * storage/id_filter.h - in which blocks of a segment an id may be, for one small read.
 *
 * The keys of ids (id_key.h) of up to ID_GROUP_BLOCKS blocks in a row, a group, are spread by their
 * hash over pages (id_page.h) of a few KiB: a key is in one page of each group, so that page alone
 * says for all those blocks whether they may have it.  Pages are sealed and lie behind the blocks;
 * where, says the index.  Blocks that a group leaves out, since they have too many ids for their
 * size, may have any.  What a group covers opens with its pages alone.  Bytes:
 * docs/formats/segment.md, "Id filter".
 */
#ifndef LOGQ_STORAGE_ID_FILTER_H
#define LOGQ_STORAGE_ID_FILTER_H

#include "storage/id_key.h"
#include "storage/id_page.h"

enum {
    ID_GROUP_BLOCKS = ID_PAGE_BLOCKS,
    ID_GROUP_KEYS = 1 << 20, /* after which a group takes no further block */
    ID_GROUP_ENTRY = 56,     /* bytes of a group in the index */
    ID_INDEX_MAX = 64 << 20, /* bytes of an index */
    ID_INDEX_HELD = 2,       /* in memory it is at most about so many times as large */
    ID_SHARE = 10,           /* a block's ids may take one in so many of its stored bytes */
    ID_SHARE_WIDE = 20,      /* and those of a group, for pages that seldom err */
};

struct id_group {
    uint32_t first_block, n_blocks;
    uint32_t n_pages;
    uint32_t first_frame; /* running number of its first page: the nonce */
    uint32_t crc;         /* of its pages as stored */
    struct id_blocks covered;
    uint32_t first_page; /* among those of all groups */
};

/* The index of a segment's filter. */
struct id_filter {
    struct id_group *group; /* owned; by first block */
    size_t n_groups;
    uint64_t *at; /* owned; n_pages + 1: where each page of all groups lies, and the end */
    uint32_t n_pages;
};
void id_filter_free(struct id_filter **pf); /* *pf may be NULL */
size_t id_filter_held(const struct id_filter *f);

/* The index and its checksum, appended. */
void id_filter_put(struct buf *b, const struct id_filter *f);
/* And back; `end`: where the index itself lies, which is where the last page ends, behind `begin`.
 * The caller owns *ret.  ERR_CORRUPT. */
int id_filter_get(struct str index, uint64_t begin, uint64_t end, struct id_filter **ret,
                  struct err *err);

/* In which page of the group a key would be, and its place there. */
uint32_t id_filter_page(const struct id_group *g, uint32_t key, uint32_t *place);

/* ---- making ---- */

/* Filters of blocks as they come.  Memory: 4 bytes a key of the open group and somewhat over one a
 * key of those before. */
struct id_builder;
struct id_builder *id_builder_new(void);
void id_builder_free(struct id_builder **pb); /* *pb may be NULL */

/* The next block: the keys of all of its lines (sorted here, and cleared), and what it takes
 * stored.
 */
void id_builder_block(struct id_builder *b, struct id_keys *k, uint64_t stored_bytes);
/* No further block comes.  What the groups are, without the places of their pages, and
 * plain page `i` of all: as long as `b`. */
const struct id_filter *id_builder_end(struct id_builder *b);
struct str id_builder_page(const struct id_builder *b, uint32_t i);

#endif
