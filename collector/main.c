/*
 * collector/main.c - the program logq-collector: arguments and exit codes.
 *
 * Exit codes: 0 done, 1 could not run, 2 usage or configuration.
 */
#include "base/file.h"
#include "base/log.h"
#include "collector/metrics.h"
#include "collector/worker.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

static const char USAGE[] =
    "usage: logq-collector run --config FILE      follow logs and send them to logq-server\n"
    "       logq-collector check --config FILE    check the configuration and print it whole\n"
    "       logq-collector example                print a commented configuration\n"
    "       logq-collector --version | --help\n"
    "Signals: TERM and INT stop (up to 5 s for acknowledgements), HUP reads the configuration "
    "again.\n";

/* All that is wrong with the file, each on a line. */
static void print_errors(const struct conf_errors *errors, const struct err *err)
{
    size_t n = errors->n < CONF_ERRORS_MAX ? errors->n : CONF_ERRORS_MAX;

    for (size_t i = 0; i < n; i++)
        (void)fprintf(stderr, "%.*s\n", STR_ARG(errors->v[i]));
    if (errors->n > n)
        (void)fprintf(stderr, "and %zu more\n", errors->n - n);
    if (n == 0)
        (void)fprintf(stderr, "logq-collector: %s\n", err->text);
}

static struct config *load(const char *path)
{
    struct config *config = NULL;
    struct conf_errors errors;
    struct err err;

    if (config_load(path, &config, &errors, &err) < 0) {
        print_errors(&errors, &err);
        config_free(&config);
        return NULL;
    }
    for (size_t i = 0; i < errors.n_warnings && i < CONF_ERRORS_MAX; i++)
        log_warn("config.warning", LOG_STR("text", errors.warnings[i]));
    return config;
}

static int check(const char *path)
{
    struct config *config = load(path);
    struct buf out;
    struct err err;
    int r;

    if (config == NULL)
        return EXIT_USAGE;
    buf_init(&out, 4 << 20);
    config_print(&out, config);
    r = file_write_all(STDOUT_FILENO, out.p, out.n, &err);
    buf_fini(&out);
    config_free(&config);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int example(void)
{
    struct buf out;
    struct err err;
    int r;

    buf_init(&out, 4 << 20);
    config_print_example(&out);
    r = file_write_all(STDOUT_FILENO, out.p, out.n, &err);
    buf_fini(&out);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run(const char *path)
{
    struct config *config;

    (void)signal(SIGPIPE, SIG_IGN);
    metrics_setup();
    config = load(path);
    if (config == NULL)
        return EXIT_USAGE;
    log_set_level((enum log_level)config->log_level);
    return priv_run(path, config, worker_run);
}

static int usage(const char *why)
{
    if (why != NULL)
        (void)fprintf(stderr, "logq-collector: %s\n", why);
    (void)fputs(USAGE, stderr);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"config", required_argument, NULL, 'c'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *path = NULL, *verb;
    struct err err;
    int o;

    if (file_hold_standard(&err) < 0)
        return EXIT_FAILURE; /* nobody is there to tell */
    log_set_program("logq-collector");
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): no thread yet */
    while ((o = getopt_long(argc, argv, "c:", OPTIONS, NULL)) != -1) {
        if (o == 'c')
            path = optarg;
        else if (o == 'V')
            return printf("logq-collector %s\n", LOGQ_VERSION) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        else if (o == 'h')
            return fputs(USAGE, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        else
            return usage(NULL); /* getopt has said why */
    }
    if (optind + 1 != argc)
        return usage(optind == argc ? "a command is needed" : "one command at a time");
    verb = argv[optind];
    if (strcmp(verb, "example") == 0)
        return example();
    if (strcmp(verb, "run") != 0 && strcmp(verb, "check") != 0)
        return usage("there is no such command");
    if (path == NULL)
        return usage("--config FILE is needed");
    return strcmp(verb, "run") == 0 ? run(path) : check(path);
}
