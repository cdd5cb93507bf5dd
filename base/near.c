/* base/near.c - see near.h. */
#include "base/near.h"

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;

    return m < c ? m : c;
}

/* Edits between two words of at most NEAR_MAX bytes: insert, delete, replace, swap two neighbours.
 */
static unsigned distance(struct str a, struct str b)
{
    unsigned rows[3][NEAR_MAX + 1] = {{0}};

    for (unsigned j = 0; j <= b.n; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *up = rows[(i + 2) % 3];
        const unsigned *up2 = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned cost = a.p[i - 1] != b.p[j - 1];
            row[j] = min3(up[j] + 1, row[j - 1] + 1, up[j - 1] + cost);
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1] &&
                up2[j - 2] + 1 < row[j])
                row[j] = up2[j - 2] + 1;
        }
    }
    return rows[a.n % 3][b.n];
}

void near_begin(struct near *n, struct str word)
{
    /* a quarter of the letters may be wrong, one always: least is the first distance too far */
    unsigned least = 2 + (unsigned)(word.n <= NEAR_MAX ? word.n : 0) / 4;

    *n = (struct near){.word = word, .least = least};
}

void near_offer(struct near *n, struct str known)
{
    unsigned d;

    if (n->word.n > NEAR_MAX || known.n > NEAR_MAX)
        return;
    d = distance(n->word, known);
    if (d < n->least && d < known.n) {
        n->least = d;
        n->best = known;
    }
}
