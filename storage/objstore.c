/* storage/objstore.c - checks names and hands on to the kind of store.  Contract: objstore.h. */
#include "storage/objstore.h"

#include "base/obj.h"

#include <string.h>

enum { NAME_MAX_BYTES = 128 };

static bool name_char_ok(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

bool objstore_name_ok(const char *name)
{
    size_t n = strnlen(name, NAME_MAX_BYTES + 1);

    if (n == 0 || n > NAME_MAX_BYTES || name[0] == '.' ||
        str_ends((struct str){name, n}, STR(".tmp")))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!name_char_ok(name[i]))
            return false;
    return true;
}

void objstore_free(struct objstore **pos)
{
    struct objstore *os = *pos;

    if (os == NULL)
        return;
    OBJ_CHECK(os, OBJSTORE_MAGIC);
    os->ops->free(os);
    *pos = NULL;
}

static int check_name(const char *name, struct err *err)
{
    if (!objstore_name_ok(name))
        return err_set(err, ERR_INVALID, "'%.140s' is no name of an object", name);
    return 0;
}

int objstore_open(struct objstore *os, const char *name, struct objstore_object **ret,
                  struct err *err)
{
    int r = check_name(name, err);

    OBJ_CHECK(os, OBJSTORE_MAGIC);
    return r < 0 ? r : os->ops->open(os, name, ret, err);
}

uint64_t objstore_size(const struct objstore_object *o)
{
    OBJ_CHECK(o, OBJSTORE_OBJECT_MAGIC);
    return o->size;
}

int objstore_read(struct objstore_object *o, uint64_t offset, void *dst, size_t n, struct err *err)
{
    OBJ_CHECK(o, OBJSTORE_OBJECT_MAGIC);
    if (offset > o->size || n > o->size - offset)
        return err_set(err, ERR_CORRUPT, "%zu bytes at %llu are past the end at %llu", n,
                       (unsigned long long)offset, (unsigned long long)o->size);
    return n == 0 ? 0 : o->store->ops->read(o, offset, dst, n, err);
}

void objstore_close(struct objstore_object **po)
{
    struct objstore_object *o = *po;

    if (o == NULL)
        return;
    OBJ_CHECK(o, OBJSTORE_OBJECT_MAGIC);
    o->store->ops->close(o);
    *po = NULL;
}

int objstore_put(struct objstore *os, const char *name, struct objstore_put **ret, struct err *err)
{
    int r = check_name(name, err);

    OBJ_CHECK(os, OBJSTORE_MAGIC);
    return r < 0 ? r : os->ops->put(os, name, ret, err);
}

int objstore_append(struct objstore_put *put, const void *p, size_t n, struct err *err)
{
    int r;

    OBJ_CHECK(put, OBJSTORE_PUT_MAGIC);
    r = put->store->ops->append(put, p, n, err);
    if (r == 0)
        put->size += n;
    return r;
}

uint64_t objstore_put_size(const struct objstore_put *put)
{
    OBJ_CHECK(put, OBJSTORE_PUT_MAGIC);
    return put->size;
}

int objstore_publish(struct objstore_put *put, struct err *err)
{
    OBJ_CHECK(put, OBJSTORE_PUT_MAGIC);
    return put->store->ops->publish(put, err);
}

void objstore_discard(struct objstore_put **pput)
{
    struct objstore_put *put = *pput;

    if (put == NULL)
        return;
    OBJ_CHECK(put, OBJSTORE_PUT_MAGIC);
    put->store->ops->discard(put);
    *pput = NULL;
}

int objstore_list(struct objstore *os, objstore_list_fn *fn, void *arg, struct err *err)
{
    OBJ_CHECK(os, OBJSTORE_MAGIC);
    return os->ops->walk(os, fn, arg, err);
}

int objstore_delete(struct objstore *os, const char *name, struct err *err)
{
    int r = check_name(name, err);

    OBJ_CHECK(os, OBJSTORE_MAGIC);
    return r < 0 ? r : os->ops->delete (os, name, err);
}
