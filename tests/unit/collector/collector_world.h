/*
 * tests/unit/collector/collector_world.h - a whole collector and a Forward server on one loop, in a
 * directory of the test's own.  world_die is a kill: nothing is sealed, drained or said goodbye to.
 */
#ifndef LOGQ_TESTS_UNIT_COLLECTOR_COLLECTOR_WORLD_H
#define LOGQ_TESTS_UNIT_COLLECTOR_COLLECTOR_WORLD_H

#include "collector/collector.h"

#include "base/file.h"
#include "base/log.h"
#include "collector/metrics.h"
#include "tests/lib/tmpdir.h"
#include "tests/lib/wait.h"
#include "tests/unit/collector/forward_server.h"
#include "wire/codec.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct world {
    struct loop *loop;
    int dir;
    char path[TMPDIR_PATH_MAX];
    struct forward_server server;
    char servers[256]; /* instead of its address: YAML; "" for that */
    struct collector *collector;
    const char *waiting_for;
    size_t records;
};

static struct world w;
static struct err err;

static inline int world_setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof(w));
    metrics_setup();
    log_set_level(LOG_LEVEL_ERROR);
    assert_int_equal(loop_new(&w.loop, &err), 0);
    w.dir = tmpdir_open(w.path);
    assert_int_equal(file_make_dirs(w.dir, "logs", 0700, &err), 0);
    forward_server_open(&w.server, w.loop, "127.0.0.1:0", NULL);
    return 0;
}

static inline int world_teardown(void **state)
{
    (void)state;
    collector_free(&w.collector);
    forward_server_close(&w.server);
    loop_free(&w.loop);
    tmpdir_close(w.dir);
    return 0;
}

/* Write c.yaml with `inputs` (each %s is the directory, at most four) and load it. */
static inline struct config *world_config(const char *more, const char *inputs)
{
    struct conf_errors errors;
    struct config *config;
    struct buf text;
    char path[TMPDIR_PATH_MAX + 16];

    buf_init(&text, 1 << 16);
    if (w.servers[0] == '\0')
        buf_addf(&text, "server: {address: '%s', tls: false}\n",
                 listener_address(w.server.listener));
    else
        buf_addf(&text, "server: {tls: false, failover: 300ms}\nservers: %s\n", w.servers);
    buf_addf(&text, "state_dir: %s/state\nhost: h\n%s%sinputs:\n", w.path,
             strstr(more, "chunk:") == NULL ? "chunk: {delay: 10ms}\n" : "", more);
    for (const char *p = inputs; *p != '\0'; p++)
        if (*p == '@')
            buf_add_z(&text, w.path);
        else
            buf_add_char(&text, *p);
    assert_int_equal(file_replace(w.dir, "c.yaml", 0600, buf_str(&text), &err), 0);
    buf_fini(&text);
    (void)snprintf(path, sizeof(path), "%s/c.yaml", w.path);
    if (config_load(path, &config, &errors, &err) < 0)
        fail_msg("%s: %.*s", err.text, STR_ARG(errors.v[0]));
    return config;
}

static inline void world_start(const char *more, const char *inputs)
{
    if (collector_open(w.loop, NULL, world_config(more, inputs), &w.collector, &err) < 0)
        fail_msg("%s", err.text);
}

static inline void world_die(void)
{
    collector_free(&w.collector);
}

static inline void world_write(const char *name, const char *text)
{
    int fd = openat(w.dir, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, text, strlen(text), &err), 0);
    (void)close(fd);
}

static inline void world_rename(const char *from, const char *to)
{
    assert_int_equal(renameat(w.dir, from, w.dir, to), 0);
}

/* All of `from`, packed or not, is `to`. */
static inline void world_copy(const char *from, const char *to, bool packed)
{
    struct codec_writer *writer = codec_writer_new();
    struct buf text, out;

    buf_init(&text, 1 << 20);
    buf_init(&out, 1 << 20);
    assert_int_equal(file_read(w.dir, from, &text, &err), 0);
    assert_int_equal(
        codec_pack(writer, packed ? CODEC_GZIP : CODEC_NONE, 1, buf_str(&text), &out, &err), 0);
    assert_int_equal(file_replace(w.dir, to, 0600, buf_str(&out), &err), 0);
    codec_writer_free(&writer);
    buf_fini(&text);
    buf_fini(&out);
}

/* What copytruncate does, with gzip behind it when `packed`. */
static inline void world_copytruncate(const char *from, const char *to, bool packed)
{
    int fd;

    world_copy(from, to, packed);
    fd = openat(w.dir, from, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    (void)close(fd);
}

static inline bool world_has_text(void *arg)
{
    (void)arg;
    return str_find(buf_str(&w.server.lines), str_of(w.waiting_for)) != SIZE_MAX;
}

/* Until the server has stored something with `text` in it. */
static inline void world_wait(const char *text)
{
    w.waiting_for = text;
    wait_check(w.loop, world_has_text, NULL, text);
}

static inline bool world_has_records(void *arg)
{
    (void)arg;
    return w.server.records >= w.records;
}

static inline void world_wait_records(size_t n)
{
    w.records = n;
    wait_check(w.loop, world_has_records, NULL, "records at the server");
}

static inline bool world_metric_is(void *arg)
{
    const unsigned *want = arg;

    return metric_get(want[0]) >= want[1];
}

static inline void world_wait_metric(unsigned id, unsigned at_least)
{
    unsigned want[2] = {id, at_least};

    wait_check(w.loop, world_metric_is, want, "a metric");
}

/* Exactly once: the text is there, and not twice. */
static inline void world_check_once(const char *text)
{
    struct str all = buf_str(&w.server.lines);
    size_t at = str_find(all, str_of(text));

    if (at == SIZE_MAX)
        fail_msg("'%s' is missing", text);
    if (str_find(str_from(all, at + 1), str_of(text)) != SIZE_MAX)
        fail_msg("'%s' is there twice", text);
}

#endif
