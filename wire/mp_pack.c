/* wire/mp_pack.c - contract: mp_pack.h. */
#include "wire/mp_pack.h"

static int to_buf(void *data, const char *p, size_t n)
{
    buf_add(data, p, n);
    return 0;
}

void mp_pack_init(msgpack_packer *pk, struct buf *out)
{
    msgpack_packer_init(pk, out, to_buf);
}

void mp_pack_text(msgpack_packer *pk, struct str s)
{
    (void)msgpack_pack_str_with_body(pk, s.p, s.n);
}

void mp_pack_ack(msgpack_packer *pk, struct str token, bool more)
{
    (void)msgpack_pack_map(pk, more ? 2 : 1);
    mp_pack_text(pk, STR("ack"));
    mp_pack_text(pk, token);
    if (more)
        mp_pack_text(pk, STR("lq"));
}
