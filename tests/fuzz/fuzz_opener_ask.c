/* Fuzz target: collector/opener_serve and gate, what a worker that was taken over may ask of the
 * processes with rights.  No answer brings a descriptor of a file. */
#include "base/obj.h"
#include "collector/channel.h"
#include "collector/gate.h"
#include "collector/metrics.h"
#include "collector/opener_ask.h"
#include "collector/opener_serve.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char CONFIG[] = "server: {address: '127.0.0.1:1', tls: false}\n"
                             "inputs: [{type: file, paths: [/logq-fuzz/*/x.log, /logq-fuzz/y]}]\n";

/* One policy for all inputs: it does not change. */
static struct policy *make_policy(void)
{
    struct config *config = NULL;
    struct conf_errors errors;
    struct source_set *set;
    struct policy *p = policy_new();
    struct err err;

    INVARIANT(config_parse("c", STR("/"), STR(CONFIG), &config, &errors, &err) == 0);
    set = source_set_new(config, NULL, false);
    policy_add(p, set);
    source_set_unref(&set);
    return p;
}

/* Take all answers that are there. */
static void drain(int channel, bool *has_fd)
{
    static struct opener_answer answer;
    char probe;
    struct err err;
    size_t n = 0;
    int fd;

    while (recv(channel, &probe, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
        INVARIANT(channel_receive(channel, &answer, sizeof(answer), &n, &fd, &err) == 0);
        INVARIANT(n >= OPENER_ANSWER_HEAD && n == OPENER_ANSWER_HEAD + answer.names_bytes);
        if (fd >= 0) {
            *has_fd = true;
            (void)close(fd);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct policy *policy;
    struct opener_serve *serve;
    struct opener_ask ask;
    struct err err;
    bool has_fd = false;
    int pair[2];

    if (size == 0 || size > sizeof(ask) + 100)
        return 0;
    if (policy == NULL) {
        metrics_setup();
        policy = make_policy();
    }
    (void)gate_check((struct str){(const char *)data, size}, &err);
    INVARIANT(channel_pair(pair, &err) == 0);
    serve = opener_serve_new(policy);
    INVARIANT(channel_send(pair[0], data, size, -1, &err) == 0);
    (void)opener_serve_one(serve, pair[1], &err);
    drain(pair[0], &has_fd);
    memset(&ask, 0, sizeof(ask));
    memcpy(&ask, data, size < sizeof(ask) ? size : sizeof(ask));
    INVARIANT(!has_fd || ask.op == OPENER_OP_INOTIFY);
    opener_serve_free(&serve);
    (void)close(pair[0]);
    (void)close(pair[1]);
    return 0;
}
