/* Fuzz target: what an API server answers, as a stream of events, as a page of a list, as a pod,
 * and as the file in which pods are kept. */
#include "collector/kube_pods.h"
#include "collector/kube_watch.h"

#include "base/obj.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct kube_pods *pods;
static struct arena *scratch;

/* What is written of a pod says the same when it is read again. */
static void check_text(const struct kube_pod *pod)
{
    struct arena *a = arena_new(NULL, 16 << 20);
    struct kube_pod again;
    struct buf first, second;
    struct err err;

    buf_init(&first, 16 << 20);
    buf_init(&second, 16 << 20);
    kube_pod_write(pod, &first);
    INVARIANT(!first.over && str_find_char(buf_str(&first), '\n') == SIZE_MAX);
    INVARIANT(kube_pod_parse(buf_str(&first), a, &again, &err) == 0);
    INVARIANT(again.n_images == pod->n_images && again.n_labels == pod->n_labels && !again.cut);
    kube_pod_write(&again, &second);
    INVARIANT(str_eq(buf_str(&first), buf_str(&second)));
    buf_fini(&first);
    buf_fini(&second);
    arena_free(&a);
}

static void on_object(void *arg, struct str object)
{
    struct kube_pod pod;
    struct err err;

    (void)arg;
    if (kube_pod_parse(object, scratch, &pod, &err) < 0)
        return;
    check_text(&pod);
    (void)kube_pods_put(pods, &pod, &err);
}

static int on_line(void *arg, struct str line)
{
    struct kube_watch_status status;
    struct kube_watch_event e;
    struct err err;

    if (kube_watch_event(line, scratch, &e, &err) < 0)
        return 1;
    kube_watch_status(e.object, scratch, &status);
    on_object(arg, e.object);
    return 0;
}

static void check_file(void)
{
    struct kube_pods *loaded = kube_pods_new();
    struct buf text;
    struct err err;

    buf_init(&text, KUBE_PODS_FILE_MAX);
    kube_pods_save(pods, &text);
    INVARIANT(kube_pods_load(loaded, buf_str(&text), &err) == 0);
    INVARIANT(kube_pods_count(loaded) == kube_pods_count(pods));
    buf_fini(&text);
    kube_pods_free(&loaded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size}, rest = text;
    struct kube_watch_page page;
    struct kube_pods *loaded = kube_pods_new();
    struct kube_watch w;
    struct err err;

    pods = kube_pods_new();
    scratch = arena_new(NULL, 64 << 20);
    kube_watch_init(&w);
    for (size_t n = 1; rest.n > 0; rest = str_from(rest, n), n = n % 61 + 1)
        if (kube_watch_feed(&w, str_sub(rest, 0, n), on_line, NULL) != 0)
            break;
    kube_watch_fini(&w);
    (void)kube_watch_page(text, scratch, on_object, NULL, &page, &err);
    on_object(NULL, text);
    check_file();
    (void)kube_pods_load(loaded, text, &err);
    kube_pods_free(&loaded);
    kube_pods_free(&pods);
    arena_free(&scratch);
    return 0;
}
