/* base/service.c - contract: service.h. */
#include "base/service.h"

static const struct str SERVICE_KEYS[] = {
    STR_INIT("service"),
    STR_INIT("app"),
    STR_INIT("application"),
    STR_INIT("app_name"),
    STR_INIT("name"),
    STR_INIT("app_kubernetes_io_name"),
    STR_INIT("container"),
    STR_INIT("container_name"),
    STR_INIT("k8s_container_name"),
    STR_INIT("component"),
    STR_INIT("workload"),
    STR_INIT("job"),
    STR_INIT("k8s_job_name"),
};

struct str service_name(const struct labels *l)
{
    for (size_t i = 0; i < sizeof(SERVICE_KEYS) / sizeof(SERVICE_KEYS[0]); i++) {
        struct str v = labels_get(l, SERVICE_KEYS[i]);
        if (v.n > 0)
            return v;
    }
    return STR("unknown_service");
}
