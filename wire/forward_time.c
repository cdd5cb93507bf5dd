/*
 * wire/forward_time.c - contract: forward_time.h.
 */
#include "wire/forward_time.h"

#include <math.h>

/* Whole seconds around which ts_ns does not overflow, nanoseconds (up to 2^32) included. */
#define SECONDS_SAFE INT64_C(9223372000)

static ts_ns clamped(int64_t seconds, uint32_t ns)
{
    if (seconds > SECONDS_SAFE)
        return INT64_MAX;
    if (seconds < -SECONDS_SAFE)
        return INT64_MIN;
    return seconds * NS_PER_S + ns;
}

static ts_ns of_float(double f, ts_ns now)
{
    double whole;

    if (isnan(f))
        return now;
    if (f > (double)SECONDS_SAFE)
        return INT64_MAX;
    if (f < -(double)SECONDS_SAFE)
        return INT64_MIN;
    whole = floor(f);
    return (int64_t)whole * NS_PER_S + (int64_t)((f - whole) * 1e9);
}

static bool is_event_time(const struct mp_value *v)
{
    return v->type == MP_EXT && v->ext == FORWARD_EVENT_TIME && v->n == 8;
}

static ts_ns of_event_time(const struct mp_value *v)
{
    return clamped((int64_t)mp_big_endian(v->body.p, 4), (uint32_t)mp_big_endian(v->body.p + 4, 4));
}

bool forward_time_is_group(const struct mp_value *v)
{
    return is_event_time(v) && mp_big_endian(v->body.p, 4) > FORWARD_SECONDS_MAX;
}

bool forward_time_of(const struct mp_value *v, ts_ns now, ts_ns *ret)
{
    ts_ns t;

    switch (v->type) {
    case MP_NIL:
        t = 0;
        break;
    case MP_UINT:
        t = clamped(v->u > INT64_MAX ? INT64_MAX : (int64_t)v->u, 0);
        break;
    case MP_INT:
        t = clamped(v->i, 0);
        break;
    case MP_FLOAT:
        t = of_float(v->f, now);
        break;
    case MP_EXT:
        if (is_event_time(v))
            t = of_event_time(v);
        else if (!forward_time_ext(v, &t))
            return false;
        break;
    case MP_BOOL:
    case MP_STR:
    case MP_BIN:
    case MP_ARRAY:
    case MP_MAP:
    default:
        return false;
    }
    *ret = t == 0 ? now : t;
    return true;
}

bool forward_time_ext(const struct mp_value *v, ts_ns *ret)
{
    int64_t seconds;
    uint64_t both, ns = 0;

    if (is_event_time(v)) {
        *ret = of_event_time(v);
        return true;
    }
    if (v->type != MP_EXT || v->ext != FORWARD_TIMESTAMP)
        return false;
    if (v->n == 4) {
        seconds = (int64_t)mp_big_endian(v->body.p, 4);
    } else if (v->n == 8) {
        both = mp_big_endian(v->body.p, 8);
        ns = both >> 34;
        seconds = (int64_t)(both & ((UINT64_C(1) << 34) - 1));
    } else if (v->n == 12) {
        ns = mp_big_endian(v->body.p, 4);
        seconds = (int64_t)mp_big_endian(v->body.p + 4, 8);
    } else {
        return false;
    }
    if (ns >= NS_PER_S || seconds > SECONDS_SAFE || seconds < -SECONDS_SAFE)
        return false;
    *ret = clamped(seconds, (uint32_t)ns);
    return true;
}
