/* storage/line_needle.c - see line_needle.h. */
#include "storage/line_needle.h"

void line_needle_init(struct line_needle *w, const struct dfa *d)
{
    *w = (struct line_needle){.n = d->n_needles, .whole = true};
    if (w->n > LINE_NEEDLES_MAX)
        w->n = 0;
    for (size_t i = 0; i < w->n; i++) {
        const struct dfa_needle *from = &d->needle[i];
        bool folds = false;
        if (from->n == 0) {
            w->n = 0;
            break;
        }
        for (size_t k = 0; k < from->n; k++)
            folds = folds || from->fold[k] != 0;
        find_init_fold(&w->find[i], (struct str){(const char *)from->byte, from->n},
                       folds ? from->fold : NULL);
        w->ascii = w->ascii || from->ascii;
        w->whole = w->whole && from->whole;
        w->longest = from->n > w->longest ? from->n : w->longest;
    }
}

void line_needle_mark(const struct line_needle *w, struct str text, const uint32_t *end, size_t n,
                      uint64_t *bits)
{
    for (size_t i = 0; i < w->n; i++)
        find_lines(&w->find[i], text, end, n, bits);
}
