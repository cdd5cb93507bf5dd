/* base/map.c: against a plain array that keeps the same keys. */
#include "base/map.h"

#include "base/hash.h"
#include "tests/lib/check.h"

#include <stdio.h>
#include <string.h>

static int freed;

static void count_free(void *value)
{
    (void)value;
    freed++;
}

static struct str key_of(unsigned i, char *dst)
{
    return (struct str){dst, (size_t)sprintf(dst, "key-%u", i)};
}

static void agrees_with_an_array(void **state)
{
    enum { KEYS = 300 };
    struct map *m = map_new(0, NULL);
    int *model[KEYS] = {NULL};
    int values[7];
    size_t live = 0;
    char text[32];

    (void)state;
    for (unsigned step = 0; step < 20000; step++) {
        uint64_t h = hash_bytes(&step, sizeof(step), 1);
        unsigned i = (unsigned)(h % KEYS);
        struct str key = key_of(i, text);
        if (h >> 32 & 1) {
            assert_true(map_remove(m, key) == (model[i] != NULL));
            live -= model[i] != NULL;
            model[i] = NULL;
        } else {
            assert_true(map_put(m, key, &values[h >> 33 & 3]));
            live += model[i] == NULL;
            model[i] = &values[h >> 33 & 3];
        }
        assert_int_equal(map_count(m), live);
    }
    for (unsigned i = 0; i < KEYS; i++)
        assert_ptr_equal(map_get(m, key_of(i, text)), model[i]);
    map_free(&m);
    assert_null(m);
}

static void a_full_map_takes_only_replacements(void **state)
{
    struct map *m = map_new(2, count_free);
    int v;

    (void)state;
    freed = 0;
    assert_true(map_put(m, STR("a"), &v));
    assert_true(map_put(m, STR(""), &v)); /* an empty key is one as any */
    assert_false(map_put(m, STR("c"), &v));
    assert_int_equal(freed, 0);
    assert_true(map_put(m, STR("a"), &freed));
    assert_int_equal(freed, 1);
    assert_true(map_remove(m, STR("")));
    assert_false(map_remove(m, STR("")));
    assert_int_equal(freed, 2);
    assert_true(map_put(m, STR("c"), &v));
    map_free(&m);
    assert_int_equal(freed, 4);
}

static void each_entry_is_walked_once_even_if_removed_there(void **state)
{
    struct map *m = map_new(0, NULL);
    unsigned char seen[200] = {0};
    unsigned ids[200];
    char text[32];
    size_t pos = 0;
    struct str key;
    void *value;

    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        ids[i] = i;
        assert_true(map_put(m, key_of(i, text), &ids[i]));
    }
    while (map_next(m, &pos, &key, &value)) {
        unsigned i = *(unsigned *)value;
        seen[i]++;
        if (i % 2 == 0)
            assert_true(map_remove(m, key));
    }
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(seen[i], 1);
    assert_int_equal(map_count(m), 100);
    map_free(&m);
}

CHECK_MAIN(cmocka_unit_test(agrees_with_an_array),
           cmocka_unit_test(a_full_map_takes_only_replacements),
           cmocka_unit_test(each_entry_is_walked_once_even_if_removed_there))
