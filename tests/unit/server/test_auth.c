/* server/auth.c: who gets in, to which tenant, and with which status the others are turned away. */
#include "server/auth.h"

#include "base/file.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

#include <stdlib.h>
#include <string.h>

#define ADMIN  "lq_administrator-0123456789"
#define READER "lq_reader-0123456789abcdef"
#define WRITER "lq_writer-0123456789abcdef"

struct fixture {
    int dir;
    char path[TMPDIR_PATH_MAX];
    struct arena *arena;
    struct server_conf conf;
    struct server_conf_token tokens[3];
    struct str tenants[3];
    struct auth *auth;
    struct err err;
};

static void add_token(struct fixture *f, size_t i, const char *name, const char *token, int role,
                      size_t n_tenants)
{
    f->tokens[i] = (struct server_conf_token){.name = str_of(name),
                                              .token_file = str_of(name),
                                              .role = role,
                                              .tenants = {f->tenants, n_tenants}};
    assert_int_equal(file_replace(f->dir, name, 0600, str_of(token), &f->err), 0);
}

static int setup(void **state)
{
    struct fixture *f = mem_new(sizeof(*f));

    f->dir = tmpdir_open(f->path);
    f->arena = arena_new(NULL, 0);
    f->tenants[0] = STR("default");
    f->tenants[1] = STR("other");
    f->conf = (struct server_conf){
        .arena = f->arena, .dir = str_of(f->path), .tokens = f->tokens, .n_tokens = 3};
    add_token(f, 0, "admin", ADMIN "\n", ROLE_ADMIN, 1);
    add_token(f, 1, "reader", READER, ROLE_READER, 2);
    add_token(f, 2, "writer", WRITER, ROLE_WRITER, 1);
    assert_int_equal(auth_new(&f->conf, false, &f->auth, &f->err), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    auth_free(&f->auth);
    arena_free(&f->arena);
    tmpdir_close(f->dir);
    free(f);
    return 0;
}

/* 200, 401 or 403 */
static int status(struct fixture *f, const char *authorization, const char *scope,
                  enum auth_use use, struct auth_caller *ret)
{
    struct auth_request req = {str_of(authorization), str_of(scope), use};
    int r = auth_check(f->auth, &req, f->arena, ret, &f->err);

    if (r == 0)
        return 200;
    assert_int_equal(r, ERR_DENIED);
    return f->err.sys;
}

static void a_token_of_one_tenant_needs_no_scope(void **state)
{
    struct auth_caller caller;

    assert_int_equal(status(*state, "Bearer " ADMIN, "", AUTH_READ, &caller), 200);
    check_str(caller.name, "admin");
    assert_int_equal(caller.n_tenants, 1);
    check_str(caller.tenants[0], "default");
    assert_int_equal(status(*state, "bearer " ADMIN, "default", AUTH_WRITE, &caller), 200);
}

static void basic_carries_the_token_as_password(void **state)
{
    struct auth_caller caller;

    /* base64 of "me:lq_administrator-0123456789" and of "me:wrong" */
    assert_int_equal(
        status(*state, "Basic bWU6bHFfYWRtaW5pc3RyYXRvci0wMTIzNDU2Nzg5", "", AUTH_READ, &caller),
        200);
    assert_int_equal(status(*state, "Basic bWU6d3Jvbmc=", "", AUTH_READ, &caller), 403);
    assert_int_equal(status(*state, "Basic !!!!", "", AUTH_READ, &caller), 403);
    assert_int_equal(status(*state, "Basic", "", AUTH_READ, &caller), 403);
}

static void no_token_is_401_a_wrong_one_403(void **state)
{
    struct auth_caller caller;

    assert_int_equal(status(*state, "", "", AUTH_READ, &caller), 401);
    assert_int_equal(status(*state, "Bearer " ADMIN "x", "", AUTH_READ, &caller), 403);
    assert_int_equal(status(*state, "Bearer ", "", AUTH_READ, &caller), 403);
    assert_int_equal(status(*state, "Digest x", "", AUTH_READ, &caller), 403);
}

static void roles_hold(void **state)
{
    struct auth_caller caller;

    assert_int_equal(status(*state, "Bearer " READER, "other", AUTH_READ, &caller), 200);
    assert_int_equal(status(*state, "Bearer " READER, "other", AUTH_WRITE, &caller), 403);
    assert_int_equal(status(*state, "Bearer " WRITER, "", AUTH_WRITE, &caller), 200);
    assert_int_equal(status(*state, "Bearer " WRITER, "", AUTH_READ, &caller), 403);
}

static void the_scope_only_chooses_among_the_tokens_tenants(void **state)
{
    struct auth_caller caller;

    assert_int_equal(status(*state, "Bearer " READER, "", AUTH_READ, &caller), 401);
    assert_int_equal(status(*state, "Bearer " READER, "default|other", AUTH_READ, &caller), 200);
    assert_int_equal(caller.n_tenants, 2);
    check_str(caller.tenants[1], "other");
    assert_int_equal(status(*state, "Bearer " READER, "default|third", AUTH_READ, &caller), 403);
    assert_int_equal(status(*state, "Bearer " READER, "..", AUTH_READ, &caller), 403);
    assert_int_equal(status(*state, "Bearer " READER, "default|", AUTH_READ, &caller), 403);
    assert_int_equal(status(*state, "Bearer " ADMIN, "default|default", AUTH_WRITE, &caller), 403);
}

static void a_tenant_named_twice_is_read_once(void **state)
{
    struct auth_caller caller;

    assert_int_equal(status(*state, "Bearer " READER, "other|default|other", AUTH_READ, &caller),
                     200);
    assert_int_equal(caller.n_tenants, 2);
    check_str(caller.tenants[0], "other");
    check_str(caller.tenants[1], "default");
}

static void the_servers_own_status_needs_no_tenant(void **state)
{
    struct auth_caller caller;

    assert_int_equal(status(*state, "Bearer " READER, "", AUTH_STATUS, &caller), 200);
    assert_int_equal(caller.n_tenants, 0);
    assert_int_equal(status(*state, "Bearer " WRITER, "", AUTH_STATUS, &caller), 403);
    assert_int_equal(status(*state, "", "", AUTH_STATUS, &caller), 401);
}

/* Never a caller with a tenant that has no name. */
static void without_memory_nobody_gets_in(void **state)
{
    struct mem_budget none = {.name = "none", .limit = 1};
    struct fixture *f = *state;
    struct auth_request req = {.authorization = STR("Bearer " ADMIN)};
    struct arena *full = arena_new(&none, 0);
    struct auth_caller caller;

    assert_int_equal(auth_check(f->auth, &req, full, &caller, &f->err), ERR_NOMEM);
    assert_int_equal(f->err.sys, 503);
    arena_free(&full);
}

static void tenant_names_are_lokis(void **state)
{
    char longest[151];
    (void)state;

    memset(longest, 'a', sizeof(longest));
    assert_true(auth_tenant_ok(STR("team-a_1.x!*'()")));
    assert_true(auth_tenant_ok((struct str){longest, 150}));
    assert_false(auth_tenant_ok((struct str){longest, 151}));
    assert_false(auth_tenant_ok(STR("")));
    assert_false(auth_tenant_ok(STR(".")));
    assert_false(auth_tenant_ok(STR("..")));
    assert_false(auth_tenant_ok(STR("a/b")));
    assert_false(auth_tenant_ok(STR("a b")));
}

static void a_bad_token_file_is_named(void **state)
{
    struct fixture *f = *state;
    struct auth *auth = NULL;

    assert_int_equal(file_replace(f->dir, "writer", 0600, STR("short"), &f->err), 0);
    assert_int_equal(auth_new(&f->conf, false, &auth, &f->err), ERR_INVALID);
    assert_non_null(strstr(f->err.text, "/writer"));
    f->tokens[2].token_file = STR("none");
    assert_int_equal(auth_new(&f->conf, false, &auth, &f->err), ERR_GONE);
    assert_non_null(strstr(f->err.text, "none"));
}

static void dev_lets_everybody_be_admin(void **state)
{
    struct fixture *f = *state;
    struct auth_caller caller;

    auth_free(&f->auth);
    assert_int_equal(auth_new(&f->conf, true, &f->auth, &f->err), 0);
    assert_int_equal(status(f, "", "", AUTH_WRITE, &caller), 200);
    check_str(caller.tenants[0], "default");
    assert_int_equal(caller.role, ROLE_ADMIN);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static void a_token_that_two_have_is_refused(void **state)
{
    struct fixture *f = *state;
    struct auth *other = NULL;

    add_token(f, 2, "writer", READER "\n", ROLE_WRITER, 1);
    assert_int_equal(auth_new(&f->conf, false, &other, &f->err), ERR_INVALID);
    assert_non_null(strstr(f->err.text, "'writer'"));
    assert_non_null(strstr(f->err.text, "'reader'"));
}

CHECK_MAIN(T(a_token_of_one_tenant_needs_no_scope), T(basic_carries_the_token_as_password),
           T(no_token_is_401_a_wrong_one_403), T(roles_hold),
           T(the_scope_only_chooses_among_the_tokens_tenants), T(a_tenant_named_twice_is_read_once),
           T(the_servers_own_status_needs_no_tenant), T(without_memory_nobody_gets_in),
           T(tenant_names_are_lokis), T(a_bad_token_file_is_named),
           T(a_token_that_two_have_is_refused), T(dev_lets_everybody_be_admin))
