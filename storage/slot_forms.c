/*
 * storage/slot_forms.c - strings of a few forms, most with a number in them.  Contract: slot.h and
 * slot_internal.h; format: docs/formats/slot.md.
 *
 * Paths, messages, names: /users/4711/cart, /orders/3, /login.  A form is what stands before and
 * behind the number, or a whole value without any; each value is a form and, if that has one, the
 * next number of a column of numbers.  So digits are arithmetic and not text, and the rest comes
 * once.  A value's number is its longest run of digits, the last of those, two at least: `v1` in
 * front of an id does not make forms of their own.
 */
#include "base/hash.h"
#include "storage/slot_internal.h"
#include "storage/varint.h"

#include <string.h>

enum {
    NUMBER_MIN = 2,      /* digits */
    TABLE = 1024,        /* places for forms; a power of two */
    VALUES_PER_FORM = 4, /* at least: else they are no forms */
    PAIRS_MANY = SLOT_PAIRS * 8 / 2,
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ---- write ---- */

/* The number in `s`; false: there is none that is printed as numbers are. */
static bool find_number(struct str s, size_t *ret_at, size_t *ret_n)
{
    size_t best = 0;

    for (size_t i = 0; i < s.n;) {
        size_t from = i;
        while (i < s.n && is_digit(s.p[i]))
            i++;
        if (i - from >= best) {
            best = i - from;
            *ret_at = from;
        }
        i += i == from;
    }
    *ret_n = best;
    return best >= NUMBER_MIN && best < SLOT_DIGITS_MAX && s.p[*ret_at] != '0';
}

static struct slot_form form_of(struct str s, struct str *number)
{
    size_t at = 0;
    size_t n = 0;

    *number = STR_NULL;
    if (!find_number(s, &at, &n))
        return (struct slot_form){.before = s};
    *number = str_sub(s, at, n);
    return (struct slot_form){str_sub(s, 0, at), str_from(s, at + n), true};
}

static bool same_form(const struct slot_form *a, const struct slot_form *b)
{
    return a->has_number == b->has_number && str_eq(a->before, b->before) &&
           str_eq(a->behind, b->behind);
}

/* Forms by appearance, and a table to find them. */
struct collector {
    struct slot_form form[SLOT_FORMS_MAX];
    size_t n;
    uint16_t table[TABLE]; /* number of a form + 1 */
};

/* Its number among at most `max`, or SLOT_FORMS_MAX. */
static size_t note_form(struct collector *c, const struct slot_form *f, size_t max)
{
    uint64_t hash = hash_bytes(f->before.p, f->before.n, 1);
    size_t at;

    if (f->has_number)
        hash = hash_bytes(f->behind.p, f->behind.n, hash);
    for (at = (size_t)hash & (TABLE - 1); c->table[at] != 0; at = (at + 1) & (TABLE - 1))
        if (same_form(&c->form[c->table[at] - 1], f))
            return c->table[at] - 1u;
    if (c->n >= max)
        return SLOT_FORMS_MAX;
    c->form[c->n] = *f;
    c->table[at] = (uint16_t)++c->n;
    return c->n - 1;
}

/* Forms of all values, and in `number`, if not NULL, the numbers of those that have one; how many
 * these are, 0: they do not fit. */
static size_t collect(struct collector *c, const struct str *v, size_t n, struct str *number,
                      uint8_t *id)
{
    size_t max = n / VALUES_PER_FORM < SLOT_FORMS_MAX ? n / VALUES_PER_FORM : SLOT_FORMS_MAX;
    size_t numbers = 0;

    c->n = 0;
    memset(c->table, 0, sizeof(c->table));
    for (size_t i = 0; i < n; i++) {
        struct str digits;
        struct slot_form f = form_of(v[i], &digits);
        size_t k = note_form(c, &f, max);
        if (k == SLOT_FORMS_MAX)
            return 0;
        if (number != NULL) {
            id[i] = (uint8_t)k;
            number[numbers] = digits;
        }
        numbers += f.has_number;
    }
    return numbers;
}

bool slot_forms_fit(const struct str *v, size_t n)
{
    struct collector c;

    return collect(&c, v, n, NULL, NULL) > 0;
}

static void put_str(struct buf *out, struct str s)
{
    varint_put(out, s.n);
    buf_add_str(out, s);
}

bool slot_forms_put(struct slot_pattern *p, struct slot_encoder *inner, const struct str *v,
                    size_t n, bool small, struct buf *out)
{
    struct collector c;
    struct slot_stamp stamp;
    size_t numbers;
    char *id;

    slot_pattern_room(p, n);
    id = buf_room(&p->columns, n);
    numbers = id == NULL ? 0 : collect(&c, v, n, p->value, (uint8_t *)id);
    if (numbers == 0)
        return false;
    p->columns.n = n;
    slot_encode(inner, p->value, numbers, small, &p->columns, &stamp);
    buf_add_char(out, SLOT_WAY_FORMS);
    varint_put(out, c.n);
    for (size_t k = 0; k < c.n; k++) {
        put_str(out, c.form[k].before);
        buf_add_char(out, (char)c.form[k].has_number);
        if (c.form[k].has_number)
            put_str(out, c.form[k].behind);
    }
    slot_stamp_put(out, &stamp);
    buf_add_str(out, buf_str(&p->columns));
    return true;
}

/* ---- read ---- */

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "forms of a slot: %s", what);
}

/* None is longer than a writer makes them: they are read once for each way that leads to them. */
static bool take_str(struct str *in, struct str *ret)
{
    uint64_t n;

    if (!varint_get(in, &n) || n > in->n || n > SLOT_FORM_BYTES_MAX)
        return false;
    *ret = str_sub(*in, 0, (size_t)n);
    *in = str_from(*in, (size_t)n);
    return true;
}

static int take_form(struct str *in, struct slot_form *f, struct err *err)
{
    if (!take_str(in, &f->before) || in->n == 0 || (uint8_t)in->p[0] > 1)
        return corrupt("one is cut or too long", err);
    f->has_number = in->p[0] != 0;
    f->behind = STR("");
    *in = str_from(*in, 1);
    return !f->has_number || take_str(in, &f->behind) ? 0 : corrupt("one is cut or too long", err);
}

static bool are_numbers(const struct slot_stamp *s)
{
    return s->kind == SLOT_INT ||
           (s->kind == SLOT_CONST && s->classes == SLOT_DIGIT && s->constant.n < SLOT_DIGITS_MAX);
}

/* Forms, stamp of the numbers, ids unchecked; `in` is what follows the way. */
static int take_head(struct str in, size_t n, struct slot_forms *f, struct err *err)
{
    uint64_t count;
    int r = 0;

    if (!varint_get(&in, &count) || count == 0 || count > SLOT_FORMS_MAX)
        return corrupt("how many there are", err);
    f->n = (size_t)count;
    for (size_t k = 0; r == 0 && k < f->n; k++)
        r = take_form(&in, &f->form[k], err);
    if (r == 0)
        r = slot_stamp_take(&in, &f->stamp, err);
    if (r < 0)
        return r;
    if (!are_numbers(&f->stamp))
        return corrupt("numbers that are none", err);
    if (n > in.n)
        return corrupt("ids are cut", err);
    f->id = (const uint8_t *)in.p;
    f->bytes = str_from(in, n);
    return 0;
}

/* How many of n ids have a number. */
static int count_numbers(struct slot_forms *f, size_t n, size_t *ret, struct err *err)
{
    uint8_t has[256] = {0};
    uint8_t greatest = 0;
    size_t sum = 0;

    for (size_t k = 0; k < f->n; k++)
        has[k] = f->form[k].has_number;
    for (size_t i = 0; i < n; i++) {
        greatest = f->id[i] > greatest ? f->id[i] : greatest;
        sum += has[f->id[i]];
    }
    *ret = sum;
    return greatest < f->n ? 0 : corrupt("no such form", err);
}

int slot_forms_take(struct str in, size_t n, struct slot_forms *ret, struct err *err)
{
    int r = take_head(in, n, ret, err);

    if (r == 0)
        r = count_numbers(ret, n, &ret->n_numbers, err);
    if (r == 0 && ret->n_numbers == 0)
        r = corrupt("no numbers", err);
    return r;
}

int slot_forms_open(const struct slot_stamp *s, struct str bytes, size_t n, struct slot_forms *ret,
                    struct err *err)
{
    if (s->kind != SLOT_PATTERN || bytes.n == 0 || (uint8_t)bytes.p[0] != SLOT_WAY_FORMS)
        return 1;
    return slot_forms_take(str_from(bytes, 1), n, ret, err);
}

int slot_forms_numbers(const struct slot_forms *f, struct arena *a, struct slot_view *ret,
                       struct err *err)
{
    return slot_open_inner(&f->stamp, f->bytes, f->n_numbers, a, ret, err);
}

/* Where each value ends; ERR_CORRUPT when that is too far, or a length is not as in the stamp. */
static int find_ends(const struct slot_stamp *s, const struct slot_forms *f,
                     const struct slot_view *v, size_t n, uint32_t *end, struct err *err)
{
    uint64_t total = 0;
    size_t rank = 0;

    for (size_t i = 0; i < n; i++) {
        const struct slot_form *form = &f->form[f->id[i]];
        uint64_t length = form->before.n + form->behind.n;
        if (form->has_number)
            length += slot_value_bytes(v, rank++);
        if (length < s->min_len || length > s->max_len)
            return corrupt("a length outside of its stamp", err);
        total += length;
        if (total > SLOT_TEXT_MAX)
            return corrupt("too much text", err);
        end[i] = (uint32_t)total;
    }
    return 0;
}

static char *write_str(char *to, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        to[i] = s.p[i];
    return to + s.n;
}

static void write_text(const struct slot_forms *f, const struct slot_view *v, size_t n, char *to)
{
    size_t rank = 0;

    for (size_t i = 0; i < n; i++) {
        const struct slot_form *form = &f->form[f->id[i]];
        char room[SLOT_ROOM];
        to = write_str(to, form->before);
        if (form->has_number)
            to = write_str(to, slot_value(v, rank++, room));
        to = write_str(to, form->behind);
    }
}

int slot_forms_text(const struct slot_stamp *s, struct str in, size_t n, struct arena *a,
                    struct slot_view *ret, struct err *err)
{
    struct slot_forms f;
    struct slot_view v = {.n = 0};
    uint32_t *end;
    char *text;
    int r = slot_forms_take(in, n, &f, err);

    if (r < 0)
        return r;
    end = slot_room(a, n, sizeof(*end));
    r = end == NULL ? arena_err(a, err) : slot_forms_numbers(&f, a, &v, err);
    if (r == 0)
        r = find_ends(s, &f, &v, n, end, err);
    if (r < 0)
        return r;
    text = arena_bytes(a, end[n - 1]);
    if (text == NULL)
        return arena_err(a, err);
    write_text(&f, &v, n, text);
    ret->kind = SLOT_VIEW_TEXT;
    ret->text = (struct str){text, end[n - 1]};
    ret->end = end;
    return 0;
}

void slot_forms_find(const struct slot_forms *f, size_t i, size_t *form, size_t *rank)
{
    *form = f->id[i];
    *rank = 0;
    for (size_t k = 0; k < i; k++)
        *rank += f->form[f->id[k]].has_number;
}

int slot_forms_lengths(const struct slot_stamp *s, const struct slot_forms *f, size_t n,
                       struct arena *a, uint32_t *ret, struct err *err)
{
    uint32_t *end = arena_room(a, n, sizeof(*end));
    struct slot_view v = {.n = 0};
    int r = end == NULL ? arena_err(a, err) : slot_forms_numbers(f, a, &v, err);
    uint32_t from = 0;

    if (r == 0)
        r = find_ends(s, f, &v, n, end, err);
    for (size_t i = 0; r == 0 && i < n; i++) {
        ret[i] += end[i] - from;
        from = end[i];
    }
    return r;
}

/* ---- pairs ---- */

static void set_pair(uint8_t *pairs, char a, char b)
{
    unsigned bit = slot_pair_of((uint8_t)a, (uint8_t)b);

    pairs[bit / 8] = (uint8_t)(pairs[bit / 8] | 1u << bit % 8);
}

static void set_text(uint8_t *pairs, struct str s)
{
    for (size_t i = 1; i < s.n; i++)
        set_pair(pairs, s.p[i - 1], s.p[i]);
}

bool slot_forms_pairs(const struct slot_stamp *s, struct str bytes, size_t n,
                      uint8_t ret[SLOT_PAIRS])
{
    struct slot_forms f;
    struct err err;
    unsigned count = 0;

    if (slot_forms_open(s, bytes, n, &f, &err) != 0)
        return false;
    memset(ret, 0, SLOT_PAIRS);
    for (char a = '0'; a <= '9'; a++)
        for (char b = '0'; b <= '9'; b++)
            set_pair(ret, a, b);
    for (size_t k = 0; k < f.n; k++) {
        const struct slot_form *form = &f.form[k];
        set_text(ret, form->before);
        set_text(ret, form->behind);
        for (char c = '0'; form->has_number && c <= '9'; c++) {
            if (form->before.n > 0)
                set_pair(ret, form->before.p[form->before.n - 1], c);
            if (form->behind.n > 0)
                set_pair(ret, c, form->behind.p[0]);
        }
    }
    for (size_t i = 0; i < SLOT_PAIRS; i++)
        count += (unsigned)__builtin_popcount(ret[i]);
    return count <= PAIRS_MANY;
}
