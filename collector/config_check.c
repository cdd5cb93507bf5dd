/*
 * collector/config_check.c - contract: config_check.h.
 *
 * What one option alone says (its type, its bounds, its words) is checked by conf_load with the
 * table of config.c; what is about clients, or the journal, by config_forward.c and
 * config_journal.c.
 */
#include "collector/config_check.h"

#include "base/level.h"
#include "collector/config_files.h"
#include "collector/config_forward.h"
#include "collector/config_journal.h"
#include "collector/config_own.h"
#include "collector/patterns.h"
#include "collector/redact.h"
#include "wire/address.h"

#include <string.h>

static bool is_glob(struct str s)
{
    return str_find_char(s, '*') < s.n || str_find_char(s, '?') < s.n ||
           str_find_char(s, '[') < s.n;
}

/* Is the address on this host?  Whoever may read our memory may read a loopback socket too. */
static bool is_local(const struct address *a)
{
    static const struct in6_addr LOOPBACK = IN6ADDR_LOOPBACK_INIT;

    if (a->kind == ADDRESS_NAME)
        return strcmp(a->host, "localhost") == 0;
    if (a->kind == ADDRESS_UNIX)
        return true;
    return a->socket.any.sa_family == AF_INET
               ? ntohl(a->socket.v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET
               : memcmp(&a->socket.v6.sin6_addr, &LOOPBACK, sizeof(LOOPBACK)) == 0;
}

void config_check_complain(const struct config_check *k, const char *path, const char *message)
{
    if (!conf_is_wrong(k->errors, path))
        conf_complain(k->errors, k->a, k->file, k->text, path, message);
}

static void complain(const struct config_check *k, const char *path, const char *message)
{
    config_check_complain(k, path, message);
}

/* Of what several options say together: where one of these has no value nothing is known. */
static void complain_unless(const struct config_check *k, const char *other, const char *path,
                            const char *message)
{
    if (!conf_is_wrong(k->errors, other))
        complain(k, path, message);
}

/* With the type it is the whole input that does not fit together. */
static void complain_source(const struct config_check *k, size_t i, const char *option,
                            const char *text)
{
    struct str whole = arena_printf(k->a, "inputs.%zu", i),
               path = arena_printf(k->a, "inputs.%zu.%s", i, option);

    if (whole.p == NULL || path.p == NULL)
        complain(k, "inputs", text);
    else
        complain_unless(k, strcmp(option, "type") == 0 ? whole.p : path.p, path.p, text);
}

/* Item `n` of a list of texts. */
static void complain_item(const struct config_check *k, size_t i, const char *option, size_t n,
                          const char *text)
{
    struct str path = arena_printf(k->a, "%s.%zu", option, n);

    complain_source(k, i, path.p == NULL ? option : path.p, text);
}

static bool has_type(const struct config_check *k, size_t i)
{
    struct str path = arena_printf(k->a, "inputs.%zu.type", i);

    return path.p != NULL && !conf_is_wrong(k->errors, path.p);
}

static void check_runtime_state(const struct config_check *k, size_t i,
                                const struct config_source *s)
{
    const struct conf_strs *v = &s->runtime_state;

    if (v->n > 0 && s->type != CONFIG_CRI && s->type != CONFIG_JOURNALD)
        complain_source(k, i, "runtime_state", "it is for types cri and journald");
    if (v->n > CONFIG_ROOTS_MAX)
        complain_source(k, i, "runtime_state", "at most 16");
    for (size_t d = 0; d < v->n && config_runtime_state(s).n > 0; d++)
        if (!str_starts(v->v[d], STR("/")) || is_glob(v->v[d]))
            complain_item(k, i, "runtime_state", d, "a directory, beginning with /; or none");
}

struct source_checker {
    const struct config_check *k;
    size_t i;
};

static void complain_part(void *arg, const char *option, const char *text)
{
    const struct source_checker *c = arg;

    complain_source(c->k, c->i, option, text);
}

static void check_paths(const struct config_check *k, size_t i, const struct config_source *s)
{
    for (size_t p = 0; p < s->paths.n; p++)
        if (!str_starts(s->paths.v[p], STR("/")))
            complain_item(k, i, "paths", p, "a path must begin with /");
    for (size_t p = 0; p < s->exclude.n; p++)
        if (!str_starts(s->exclude.v[p], STR("/")))
            complain_item(k, i, "exclude", p,
                          "it is for whole paths and must begin with /, as in /var/log/*/x.log");
    if (s->docker_root.n > 0 && !str_starts(s->docker_root, STR("/")))
        complain_source(k, i, "docker_root", "a path must begin with /");
}

static void check_source(const struct config_check *k, size_t i, struct config_source *s)
{
    bool is_events = s->type == CONFIG_DOCKER_EVENTS || s->type == CONFIG_PODMAN_EVENTS;

    check_paths(k, i, s);
    if (!has_type(k, i))
        return;
    if ((s->type == CONFIG_FILE || s->type == CONFIG_JSON) && s->paths.n == 0)
        complain_source(k, i, "type", "an input of type file or json needs paths");
    if (s->type != CONFIG_JSON && s->time_key.n + s->level_key.n + s->message_key.n > 0)
        complain_source(k, i, "type", "keys are for type json");
    if (s->type == CONFIG_JSON && (s->multiline.start.n > 0 || s->multiline.format != 0))
        complain_source(k, i, "multiline", "a JSON object is one line");
    if (is_events && s->paths.n != 0)
        complain_source(k, i, "paths", "events come from socket or events_file, not from paths");
    if (s->multiline.start.n > 0 && s->multiline.format != 0)
        complain_source(k, i, "multiline.start", "it stands in the place of a format");
    if (is_events && (s->multiline.start.n > 0 || s->multiline.format != 0))
        complain_source(k, i, "multiline", "an event is one line");
    check_runtime_state(k, i, s);
    config_forward_check(s, complain_part, &(struct source_checker){k, i});
    config_journal_check(s, complain_part, &(struct source_checker){k, i});
}

static void complain_rule(const struct config_check *k, size_t i, const char *option,
                          const char *text)
{
    struct str path = arena_printf(k->a, "rules.%zu.%s", i, option);

    complain(k, path.p == NULL ? "rules" : path.p, text);
}

static void check_burst(const struct config_check *k, size_t i, struct config_rule *r)
{
    struct str rate = arena_printf(k->a, "rules.%zu.rate", i),
               burst = arena_printf(k->a, "rules.%zu.burst", i);

    if (r->burst == 0)
        r->burst = r->rate;
    if (r->burst > 0 && r->rate == 0 && rate.p != NULL && burst.p != NULL)
        complain_unless(k, rate.p, burst.p, "a burst needs a rate");
}

static bool is_rule_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] < 'a' || s.p[i] > 'z') && (s.p[i] < '0' || s.p[i] > '9') && s.p[i] != '_' &&
            s.p[i] != '-')
            return false;
    return s.n > 0 && s.n < CONFIG_RULE_NAME_MAX;
}

/* Also fills in what follows from the rest. */
static void check_rule(const struct config_check *k, size_t i, struct config_rule *r)
{
    enum level level;

    if (r->name.n == 0)
        r->name = arena_printf(k->a, "rule%zu", i + 1);
    if (!is_rule_name(r->name))
        complain_rule(k, i, "name", "a name is 1 to 15 of a-z 0-9 _ -");
    if (r->stream.n > 0 && !str_eq(r->stream, STR("stdout")) && !str_eq(r->stream, STR("stderr")))
        complain_rule(k, i, "if.stream", "a stream is stdout or stderr");
    for (size_t n = 0; n < r->levels.n; n++)
        if (!level_by_name(r->levels.v[n], &level))
            complain_rule(k, i, "if.level", "there is no such level");
    if (!str_to_f64(r->sample_text, &r->sample) || !(r->sample >= 0 && r->sample <= 1))
        complain_rule(k, i, "sample", "a part is a number from 0 to 1");
    check_burst(k, i, r);
}

static void check_rules(const struct config_check *k, struct config *c)
{
    size_t rates = 0;

    if (c->n_rules > CONFIG_RULES_MAX)
        complain(k, "rules", "there can be 64 rules");
    for (size_t i = 0; i < c->n_rules; i++) {
        check_rule(k, i, &c->rules[i]);
        rates += c->rules[i].rate > 0;
        for (size_t before = 0; before < i; before++)
            if (str_eq(c->rules[before].name, c->rules[i].name))
                complain_rule(k, i, "name", "another rule has this name");
    }
    if (rates > CONFIG_RATES_MAX)
        complain(k, "rules", "there can be 8 rules with a rate");
}

/* It is compiled once more when it is used; then it cannot fail. */
static void check_pattern(const struct config_check *k, struct str text, const char *list, size_t i,
                          const char *option)
{
    struct str path = arena_printf(k->a, "%s.%zu.%s", list, i, option);
    struct pattern *p;
    struct err err;

    if (text.n == 0 || path.p == NULL)
        return;
    if (patterns_new(text, &p, &err) < 0)
        complain(k, path.p, err.text);
    else
        patterns_free(&p);
}

static void check_redact(const struct config_check *k, const struct config *c)
{
    for (size_t i = 0; i < c->redact.detectors.n; i++)
        if (redact_by_name(c->redact.detectors.v[i]) == 0)
            complain(k, "redact.detectors",
                     "a detector is bearer, cloud_key, jwt, card, email, ip or private_key");
    for (size_t i = 0; i < c->redact.n_patterns; i++) {
        struct str path = arena_printf(k->a, "redact.patterns.%zu.name", i);
        if (!is_rule_name(c->redact.patterns[i].name) && path.p != NULL)
            complain(k, path.p, "a name is 1 to 15 of a-z 0-9 _ -");
        check_pattern(k, c->redact.patterns[i].pattern, "redact.patterns", i, "pattern");
    }
    for (size_t i = 0; i < c->n_rules; i++)
        check_pattern(k, c->rules[i].pattern, "rules", i, "if.pattern");
    for (size_t i = 0; i < c->n_sources; i++)
        check_pattern(k, c->sources[i].multiline.start, "inputs", i, "multiline.start");
}

/* `tls`: with it it may be anywhere. */
static void check_server(const struct config_check *k, const char *path, struct str text, bool tls)
{
    struct address a;
    struct err err;

    if (address_parse(text.p, &a, &err) < 0)
        complain(k, path, err.text);
    else if (a.kind == ADDRESS_UNIX && a.socket.un.sun_path[0] != '/')
        complain(k, path, "the path of a unix socket must begin with /");
    else if (a.kind != ADDRESS_UNIX && strcmp(a.port, "0") == 0)
        complain(k, path, "nobody can connect to port 0");
    else if (!tls && !is_local(&a))
        complain(k, "server.tls", "without TLS the server must be on this host");
}

static void check_servers(const struct config_check *k, const struct config *c)
{
    if (c->address.n == 0 && c->servers.n == 0)
        complain_unless(k, "servers", "server.address",
                        "where to send to is missing: server.address, or servers");
    if (c->address.n > 0 && c->servers.n > 0)
        complain(k, "servers", "there is server.address too: one of them decides");
    if (c->servers.n > CONFIG_SERVERS_MAX)
        complain(k, "servers", "there can be 16 at most");
    if (c->address.n > 0)
        check_server(k, "server.address", c->address, c->tls);
    for (size_t i = 0; i < c->servers.n; i++) {
        struct str path = arena_printf(k->a, "servers.%zu", i);
        const char *place = path.p == NULL ? "servers" : path.p;
        check_server(k, place, c->servers.v[i], c->tls);
        for (size_t before = 0; before < i; before++)
            if (str_eq(c->servers.v[before], c->servers.v[i]))
                complain(k, place, "an address is there twice");
    }
}

static void check_metrics(const struct config_check *k, struct str text)
{
    struct address a;
    struct err err;

    if (text.n == 0)
        return;
    if (address_parse(text.p, &a, &err) < 0)
        complain(k, "metrics.listen", err.text);
    else if (a.kind == ADDRESS_UNIX && a.socket.un.sun_path[0] != '/')
        complain(k, "metrics.listen", "the path of a unix socket must begin with /");
    else if (!is_local(&a))
        complain(k, "metrics.listen",
                 "must be an address of this host: it asks nobody who they are");
}

static void check_kube(const struct config_check *k, const struct config_kube *c)
{
    struct str host = str_from(c->api, sizeof("https://") - 1);

    if (c->api.n == 0)
        return;
    if (!str_starts(c->api, STR("https://")) || host.n == 0 || host.p[0] == '/' ||
        str_find_char(host, '@') != SIZE_MAX || str_find_char(host, '?') != SIZE_MAX)
        complain(k, "kubernetes.api", "this is https://host, https://host:port, or with a path");
    if (c->node.n == 0)
        complain(k, "kubernetes.node", "the name of this node is needed: ${env:NODE_NAME}");
}

static void check_follow(const struct config_check *k, const struct conf_strs *v)
{
    for (size_t i = 0; i < v->n; i++)
        if (!str_starts(v->v[i], STR("/"))) {
            struct str path = arena_printf(k->a, "privileges.follow_into.%zu", i);
            complain(k, path.p == NULL ? "privileges" : path.p, "a path must begin with /");
        }
}

void config_check(const struct config_check *k, struct config *c)
{
    check_servers(k, c);
    if (c->tls && (c->ca.n == 0 || c->cert.n == 0 || c->key.n == 0))
        complain_unless(k, "server", "server.address",
                        "mutual TLS needs server.ca, server.cert and server.key");
    config_files_check_names(k, c);
    check_metrics(k, c->metrics_listen);
    check_follow(k, &c->follow_into);
    if (c->n_sources == 0)
        complain(k, "inputs", "there is nothing to read: at least one input is needed");
    for (size_t i = 0; i < c->n_sources; i++) {
        check_source(k, i, &c->sources[i]);
        for (size_t before = 0; before < i; before++)
            if (c->sources[before].type == c->sources[i].type &&
                c->sources[i].type >= CONFIG_DOCKER_EVENTS)
                complain_source(k, i, "type",
                                c->sources[i].type == CONFIG_FORWARD
                                    ? "there can be one input of type forward, with several "
                                      "addresses in listen"
                                : c->sources[i].type == CONFIG_JOURNALD
                                    ? "there can be one input of type journald"
                                    : "there can be one input of events per engine");
    }
    check_rules(k, c);
    check_redact(k, c);
    check_kube(k, &c->kube);
}

void config_check_own(const struct config_check *k, const struct config *c)
{
    for (size_t i = 0; i < c->n_sources && c->state_dir.n > 0; i++)
        if (config_own_is_read(&c->sources[i], c->state_dir.p))
            complain_source(k, i, "paths", "it would read what is written to state_dir");
}
