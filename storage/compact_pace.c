/* storage/compact_pace.c - see compact_pace.h. */
#include "storage/compact_pace.h"

#define SAMPLE    (NS_PER_S / 4)
#define SMOOTH_S  5.0    /* the rate is that of about so many seconds */
#define FADE_S    7200.0 /* the best rate halves in about 83 minutes without another */
#define CPU_SHARE 0.25
#define BYTES_S   20e6
#define BURST     (NS_PER_S / 10)

static double seconds(dur_ns d)
{
    return (double)d / 1e9;
}

void compact_pace_sample(struct compact_pace *p, dur_ns now, uint64_t ingested)
{
    double dt = seconds(now - p->sampled_at);
    double weight;

    if (p->sampled_at != 0 && now - p->sampled_at < SAMPLE)
        return;
    if (p->sampled_at != 0) {
        weight = dt / (dt + SMOOTH_S);
        p->rate += ((double)(ingested - p->sampled_bytes) / dt - p->rate) * weight;
        p->best -= p->best * (dt / (dt + FADE_S));
        p->best = p->rate > p->best ? p->rate : p->best;
    }
    p->sampled_at = now;
    p->sampled_bytes = ingested;
    p->busy = p->rate > p->best / 2;
}

void compact_pace_begin(struct compact_pace *p, dur_ns now, dur_ns cpu)
{
    p->at = now;
    p->cpu_at = cpu;
    p->bytes_at = 0;
}

dur_ns compact_pace_wait(struct compact_pace *p, dur_ns now, dur_ns cpu, uint64_t bytes)
{
    double earned = (double)(now - p->at);
    double wait;
    double wait_bytes;

    p->cpu_debt += (double)(cpu - p->cpu_at) - CPU_SHARE * earned;
    p->bytes_debt += (double)(bytes - p->bytes_at) - BYTES_S * earned / 1e9;
    p->at = now;
    p->cpu_at = cpu;
    p->bytes_at = bytes;
    if (!p->busy || p->cpu_debt < 0)
        p->cpu_debt = 0;
    if (!p->busy || p->bytes_debt < 0)
        p->bytes_debt = 0;
    wait = p->cpu_debt / CPU_SHARE;
    wait_bytes = p->bytes_debt / BYTES_S * 1e9;
    wait = wait_bytes > wait ? wait_bytes : wait;
    return wait < (double)BURST ? 0 : (dur_ns)wait;
}
