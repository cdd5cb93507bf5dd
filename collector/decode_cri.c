/*
 * collector/decode_cri.c - "<RFC 3339> <stdout|stderr> <P|F>[:more] <bytes>", of containerd, CRI-O
 * and podman.  Behind the names of pods' logs a line may be Docker's instead, where cri-dockerd is
 * the runtime: those names lead to Docker's files then.
 *
 * The time has any number of fraction digits and Z or an offset.  P says that the record goes on in
 * a later line of the same stream.  The text is bytes: nothing in it is changed.
 */
#include "collector/decode.h"

#include <string.h>

void decoder_init(struct decoder *d)
{
    buf_init(&d->scratch, DECODE_SCRATCH_MAX);
    d->arena = arena_new(NULL, DECODE_SCRATCH_MAX);
}

void decoder_fini(struct decoder *d)
{
    buf_fini(&d->scratch);
    arena_free(&d->arena);
}

/* " stdout " or " stderr " at p, at least 8 bytes. */
static enum decode_stream stream_at(const char *p)
{
    if (memcmp(p, " stdout ", 8) == 0)
        return DECODE_STDOUT;
    return memcmp(p, " stderr ", 8) == 0 ? DECODE_STDERR : DECODE_NONE;
}

bool decode_cri(struct decoder *d, struct str line, struct piece *ret)
{
    const char *end = line.p + line.n;
    const char *space = line.n == 0 ? NULL : memchr(line.p, ' ', line.n);
    const char *tag, *text;
    enum decode_stream stream;
    ts_ns ts;

    if (line.n > 0 && line.p[0] == '{') /* no time begins with it */
        return decode_json(d, line, ret);
    if (space == NULL || end - space < 9)
        return false;
    stream = stream_at(space);
    tag = space + 8;
    if (stream == DECODE_NONE || (*tag != 'P' && *tag != 'F'))
        return false;
    if (!time_parse_rfc3339((struct str){line.p, (size_t)(space - line.p)}, &ts))
        return false;
    text = tag + 1;
    if (text < end && *text == ':')
        text = memchr(text, ' ', (size_t)(end - text));
    if (text == NULL)
        text = end; /* a tag list and nothing behind it */
    else if (text < end && *text != ' ')
        return false;
    *ret = (struct piece){.ts = ts, .stream = stream, .last = *tag == 'F'};
    if (text < end)
        ret->text = (struct str){text + 1, (size_t)(end - text) - 1};
    return true;
}

bool decode_plain(struct decoder *d, struct str line, struct piece *ret)
{
    (void)d;
    *ret = (struct piece){.last = true, .text = line};
    return true;
}
