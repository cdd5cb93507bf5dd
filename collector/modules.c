/* collector/modules.c - contract: modules.h. */
#include "collector/modules.h"

#include "base/str.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

/* The name of `file` beside the program; false: there is none that can be read. */
static bool beside(const char *file, char path[PATH_BYTES])
{
    ssize_t n = readlink("/proc/self/exe", path, PATH_BYTES - strlen(file) - 2);
    char *slash;

    if (n <= 0)
        return false;
    path[n] = '\0';
    slash = strrchr(path, '/');
    if (slash == NULL)
        return false;
    (void)str_to_z(str_of(file), slash + 1, PATH_BYTES - (size_t)(slash + 1 - path));
    return access(path, R_OK) == 0;
}

static void installed(const char *file, char path[PATH_BYTES])
{
    (void)snprintf(path, PATH_BYTES, LOGQ_MODULE_DIR "/%s", file);
}

bool modules_is_there(const char *file)
{
    char path[PATH_BYTES];

    if (beside(file, path))
        return true;
    installed(file, path);
    return access(path, R_OK) == 0;
}

static const void *load_from(const char *path, const char *symbol, struct err *err)
{
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const void *found = lib == NULL ? NULL : dlsym(lib, symbol);

    if (found == NULL) /* NOLINTNEXTLINE(concurrency-mt-unsafe) */
        (void)err_set(err, ERR_UNSUPPORTED, "%s", dlerror());
    if (found == NULL && lib != NULL)
        (void)dlclose(lib);
    return found;
}

int modules_load(const char *file, const char *symbol, const void **ret, struct err *err)
{
    char path[PATH_BYTES];
    const void *found;

    if (!beside(file, path))
        installed(file, path);
    found = load_from(path, symbol, err);
    if (found == NULL)
        return ERR_UNSUPPORTED;
    *ret = found;
    return 0;
}
