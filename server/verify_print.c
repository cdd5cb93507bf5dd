/* server/verify_print.c - see verify_print.h. */
#include "server/verify_print.h"

#include "base/json.h"

#include <inttypes.h>

enum { TEXT_MAX = 64 << 20, CODE_DAMAGE = 1, CODE_INCOMPLETE = 5 };

void verify_print_init(struct verify_print *p)
{
    *p = (struct verify_print){.n = 0};
    buf_init(&p->findings, TEXT_MAX);
    buf_init(&p->lines, TEXT_MAX);
}

void verify_print_fini(struct verify_print *p)
{
    buf_fini(&p->findings);
    buf_fini(&p->lines);
}

static const char *name_of(enum verify_kind kind)
{
    switch (kind) {
    case VERIFY_DAMAGE:
        return "damage";
    case VERIFY_UNCHECKED:
        return "unchecked";
    case VERIFY_NOTE:
        break;
    }
    return "note";
}

void verify_print_add(void *arg, const struct verify_finding *f)
{
    struct verify_print *p = arg;
    struct json_writer w;

    if (p->n++ >= VERIFY_PRINT_FINDINGS)
        return;
    if (p->findings.n > 0)
        buf_add_char(&p->findings, ',');
    json_writer_init(&w, &p->findings);
    json_put_object(&w);
    json_put_kv_str(&w, "kind", str_of(name_of(f->kind)));
    json_put_kv_str(&w, "file", str_of(f->file));
    if (f->block >= 0)
        json_put_kv_u64(&w, "block", (uint64_t)f->block);
    if (f->offset >= 0)
        json_put_kv_u64(&w, "offset", (uint64_t)f->offset);
    json_put_kv_str(&w, "text", str_of(f->text));
    json_put_object_end(&w);
    buf_addf(&p->lines, "%-9s  %s", name_of(f->kind), f->file);
    if (f->block >= 0)
        buf_addf(&p->lines, " block %" PRId64, f->block);
    if (f->offset >= 0)
        buf_addf(&p->lines, " offset %" PRId64, f->offset);
    buf_addf(&p->lines, ": %s\n", f->text);
}

int verify_print_code(const struct verify_result *r)
{
    if (r->damage > 0)
        return CODE_DAMAGE;
    return r->unchecked > 0 ? CODE_INCOMPLETE : 0;
}

static const char *verdict_of(const struct verify_result *r)
{
    int code = verify_print_code(r);

    return code == 0 ? "intact" : code == CODE_DAMAGE ? "damaged" : "incomplete";
}

static void put_bytes(struct json_writer *w, const struct verify_bytes *b)
{
    json_put_key(w, STR("bytes"));
    json_put_object(w);
    json_put_kv_u64(w, "total", b->total);
    json_put_kv_u64(w, "time", b->time);
    json_put_kv_u64(w, "lines", b->lines);
    json_put_kv_u64(w, "attrs", b->attrs);
    json_put_kv_u64(w, "rollup", b->rollup);
    json_put_kv_u64(w, "filters", b->filters);
    json_put_kv_u64(w, "overhead", b->overhead);
    json_put_kv_u64(w, "catalog", b->catalog);
    json_put_object_end(w);
}

void verify_print_json(const struct verify_print *p, const struct verify_result *r, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_put_object(&w);
    json_put_kv_str(&w, "verdict", str_of(verdict_of(r)));
    json_put_key(&w, STR("keys"));
    json_put_bool(&w, r->with_keys);
    json_put_kv_u64(&w, "damage", r->damage);
    json_put_kv_u64(&w, "unchecked", r->unchecked);
    json_put_kv_u64(&w, "notes", r->notes);
    json_put_kv_u64(&w, "partitions", r->partitions);
    json_put_kv_u64(&w, "segments", r->segments);
    json_put_kv_u64(&w, "blocks", r->blocks);
    json_put_kv_u64(&w, "frames", r->frames);
    json_put_kv_u64(&w, "rows", r->rows);
    json_put_kv_u64(&w, "wal_files", r->wal_files);
    json_put_kv_u64(&w, "wal_frames", r->wal_frames);
    json_put_kv_u64(&w, "wal_torn_bytes", r->wal_torn_bytes);
    put_bytes(&w, &r->bytes);
    json_put_key(&w, STR("findings"));
    json_put_array(&w);
    if (p->findings.n > 0)
        json_put_raw(&w, buf_str(&p->findings));
    json_put_array_end(&w);
    json_put_object_end(&w);
    buf_add_char(out, '\n');
}

void verify_print_table(const struct verify_print *p, const struct verify_result *r,
                        struct buf *out)
{
    buf_add_str(out, buf_str(&p->lines));
    if (p->n > VERIFY_PRINT_FINDINGS)
        buf_addf(out, "... and %" PRIu64 " more\n", p->n - VERIFY_PRINT_FINDINGS);
    buf_addf(out,
             "%s%s: %" PRIu64 " days, %" PRIu64 " segments, %" PRIu64 " blocks, %" PRIu64
             " frames, %" PRIu64 " rows, %" PRIu64 " bytes; %" PRIu64 " WAL frames\n",
             verdict_of(r), r->with_keys ? "" : " (without keys)", r->partitions, r->segments,
             r->blocks, r->frames, r->rows, r->bytes.total, r->wal_frames);
    if (r->damage + r->unchecked + r->notes > 0)
        buf_addf(out, "%" PRIu64 " damaged, %" PRIu64 " not checked, %" PRIu64 " notes\n",
                 r->damage, r->unchecked, r->notes);
}
