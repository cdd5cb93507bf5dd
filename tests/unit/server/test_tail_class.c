/* server/tail_class.c: output that many share, and the classes of those who do. */
#include "server/tail_class.h"

#include "tests/lib/check.h"

static void output_is_a_copy_charged_once_until_the_last_leaves(void **state)
{
    struct mem_budget budget = {.name = "tails"};
    char text[] = "frame";
    struct tail_output *o = tail_output_new(str_of(text), &budget);
    struct tail_output *again;
    size_t charged = budget.used;
    (void)state;

    text[0] = 'x';
    assert_true(str_eq((struct str){o->bytes, o->n}, STR("frame")));
    assert_true(charged >= sizeof(text) - 1);
    again = tail_output_ref(o);
    assert_ptr_equal(again, o);
    assert_int_equal(budget.used, charged);
    tail_output_unref(&o);
    assert_null(o);
    assert_int_equal(budget.used, charged);
    tail_output_unref(&again);
    assert_int_equal(budget.used, 0);
    tail_output_unref(&again);
}

static void without_memory_there_is_no_output(void **state)
{
    struct mem_budget budget = {.name = "tails", .limit = 4};
    (void)state;

    assert_null(tail_output_new(STR("frame"), &budget));
    assert_int_equal(budget.used, 0);
}

static void who_has_the_same_key_is_of_one_class(void **state)
{
    struct tail_class *first = NULL;
    struct tail_class *a = tail_class_get(&first, STR("a"));
    struct tail_class *b = tail_class_get(&first, STR("b"));
    struct tail_class *ab = tail_class_get(&first, STR("ab"));
    struct tail_class *again = tail_class_get(&first, STR("a"));
    (void)state;

    assert_ptr_equal(again, a);
    assert_true(a != b && b != ab && a != ab);
    assert_int_equal(a->users, 2);
    tail_class_put(&first, &b); /* from the middle */
    assert_null(b);
    tail_class_put(&first, &again);
    assert_null(again);
    again = tail_class_get(&first, STR("a")); /* one of the first two still has it */
    assert_ptr_equal(again, a);
    tail_class_put(&first, &again);
    tail_class_put(&first, &a);
    assert_ptr_equal(first, ab);
    assert_null(ab->next);
    tail_class_put(&first, &ab);
    assert_null(first);
}

static void only_a_single_output_can_be_handed_on(void **state)
{
    struct mem_budget budget = {.name = "tails"};
    struct tail_class *first = NULL;
    struct tail_class *c = tail_class_get(&first, STR("a"));
    struct tail_output *o = tail_output_new(STR("one"), &budget);
    struct tail_output *p = tail_output_new(STR("two"), &budget);
    (void)state;

    tail_class_add(c, o, 7, 2);
    assert_ptr_equal(c->output, o);
    assert_int_equal(c->n_entries, 7);
    assert_int_equal(c->n_dropped, 2);
    assert_false(c->is_more);
    tail_class_add(c, p, 1, 1);
    assert_true(c->is_more);
    assert_ptr_equal(c->output, o);
    assert_int_equal(c->n_entries, 7);
    tail_class_add(c, p, 1, 1);
    assert_true(c->is_more);
    tail_output_unref(&o); /* the class has one of its own */
    assert_true(str_eq((struct str){c->output->bytes, c->output->n}, STR("one")));
    c->answered = 5;
    tail_class_forget(c);
    assert_null(c->output);
    assert_false(c->is_more);
    assert_int_equal(c->answered, 0);
    assert_int_equal(c->n_entries, 0);
    assert_int_equal(c->n_dropped, 0);
    tail_class_add(c, p, 1, 0);
    tail_output_unref(&p);
    assert_true(budget.used > 0);
    tail_class_put(&first, &c); /* and what it has goes with it */
    assert_int_equal(budget.used, 0);
}

CHECK_MAIN(cmocka_unit_test(output_is_a_copy_charged_once_until_the_last_leaves),
           cmocka_unit_test(without_memory_there_is_no_output),
           cmocka_unit_test(who_has_the_same_key_is_of_one_class),
           cmocka_unit_test(only_a_single_output_can_be_handed_on))
