/*
 * tests/fuzz/fuzz_codec.c - packed bytes unpack within their limit, in pieces or at once.
 *
 * First byte: the codec; second: the size of a piece.  What unpacks at once unpacks in pieces to
 * the same bytes.  Not the other way round: zstd's one-pass decoder refuses an empty frame that
 * states another size, its streaming one does not.
 */
#include "base/mem.h"
#include "base/obj.h"
#include "wire/codec.h"

#include <string.h>

enum { UNPACKED_MAX = 200000, PIECE_MAX = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct codec_reader *r = codec_reader_new();
    char piece[PIECE_MAX];
    struct err err;
    struct buf whole;
    struct str s;
    size_t n, total = 0, cap;
    int e, at_once;

    if (size >= 2) {
        enum codec c = (enum codec)(data[0] % 4);
        cap = (size_t)data[1] + 1;
        s = (struct str){(const char *)data + 2, size - 2};
        (void)codec_sniff(s);
        (void)codec_size_claim(c, s);
        buf_init(&whole, UNPACKED_MAX);
        at_once = codec_unpack(c, s, UNPACKED_MAX, &whole, &err);
        e = codec_reader_start(r, c, s, UNPACKED_MAX, &err);
        while (e == 0 && (e = codec_reader_pull(r, piece, cap, &n, &err)) == 0) {
            INVARIANT(n > 0 && n <= cap && total + n <= UNPACKED_MAX);
            INVARIANT(at_once != 0 || memcmp(whole.p + total, piece, n) == 0);
            total += n;
        }
        INVARIANT(at_once != 0 || (e == 1 && total == whole.n));
        buf_fini(&whole);
    }
    codec_reader_free(&r);
    return 0;
}
