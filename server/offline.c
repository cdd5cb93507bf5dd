/* server/offline.c - see offline.h. */
#include "server/offline.h"

#include "server/server_conf.h"
#include "server/verify_print.h"
#include "storage/backup.h"

#include <inttypes.h>
#include <stdio.h>

enum { ANSWER_MAX = 128 << 20, CODE_FAILED = 1, CODE_USAGE = 2, CODE_INCOMPLETE = 5 };

static int say(const struct err *err, int code)
{
    (void)fprintf(stderr, "logq-server: %s\n", err->text);
    return code;
}

/* 0, or CODE_USAGE: all mistakes are on stderr. */
static int load_conf(const char *config, struct server_conf *conf)
{
    struct conf_errors errors = {0};
    struct err err;

    if (server_conf_load(config, conf, &errors, &err) == 0)
        return 0;
    for (size_t i = 0; i < errors.n && i < CONF_ERRORS_MAX; i++)
        (void)fprintf(stderr, "%.*s\n", STR_ARG(errors.v[i]));
    return errors.n == 0 ? say(&err, CODE_USAGE) : CODE_USAGE;
}

static int print(const struct buf *out, int code)
{
    struct err err;

    if (buf_err(out, "the result", &err) < 0)
        return say(&err, CODE_INCOMPLETE);
    if (fwrite(out->p, 1, out->n, stdout) != out->n || fflush(stdout) != 0)
        return CODE_INCOMPLETE;
    return code;
}

static int verify(const struct offline_verify *o, const struct server_conf *conf)
{
    struct verify_options opt = {.dir = server_conf_path(conf, conf->data_dir, conf->arena)};
    struct verify_result result;
    struct verify_print p;
    struct buf out;
    struct err err;
    int code;

    if (!o->no_keys)
        opt.master_key = server_conf_path(conf, conf->master_key, conf->arena);
    verify_print_init(&p);
    buf_init(&out, ANSWER_MAX);
    if (verify_structure(&opt, verify_print_add, &p, &result, &err) < 0) {
        code = say(&err, CODE_INCOMPLETE);
        if (err.code == ERR_EXISTS)
            (void)fputs("logq-server: `logq verify --structure` asks the running server\n", stderr);
    } else {
        if (o->json)
            verify_print_json(&p, &result, &out);
        else
            verify_print_table(&p, &result, &out);
        code = print(&out, verify_print_code(&result));
    }
    buf_fini(&out);
    verify_print_fini(&p);
    return code;
}

int offline_verify(const struct offline_verify *o)
{
    struct server_conf conf;
    int code = load_conf(o->config, &conf);

    if (code == 0)
        code = verify(o, &conf);
    server_conf_free(&conf);
    return code;
}

/* ---- backup ---- */

int offline_backup(const struct offline_backup *o)
{
    const struct backup_options opt = {.to = o->to, .keyring_to = o->keyring_to};
    struct backup_result result;
    struct server_conf conf;
    struct err err;
    int code = load_conf(o->config, &conf);

    if (code == 0 &&
        backup_dir(server_conf_path(&conf, conf.data_dir, conf.arena), &opt, &result, &err) < 0) {
        code = say(&err, CODE_FAILED);
        (void)fputs("logq-server: a server that runs is asked by `logq admin backup DIR`\n",
                    stderr);
    } else if (code == 0) {
        (void)printf("%s: %" PRIu64 " files, %" PRIu64 " bytes, %" PRIu64 " of them linked\n",
                     o->to, result.files, result.bytes, result.linked_bytes);
    }
    server_conf_free(&conf);
    return code;
}

int offline_restore(const struct offline_restore *o)
{
    const struct backup_restore opt = {o->from, o->keyring, o->data};
    struct verify_result verified;
    struct backup_result result;
    struct err err;

    if (backup_restore(&opt, &result, &verified, &err) < 0)
        return say(&err, CODE_FAILED);
    (void)printf("%s: %" PRIu64 " files, %" PRIu64 " bytes; %" PRIu64 " segments with %" PRIu64
                 " rows are intact\n",
                 o->data, result.files, result.bytes, verified.segments, verified.rows);
    if (o->keyring == NULL)
        (void)puts("without its keyring nothing of it can be read: put it there as keyring.db");
    return 0;
}
