/* Times and durations: what is read comes back from its printed form. */
#include "base/time.h"

#include "base/obj.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str s = {(const char *)data, n};
    char text[TIME_TEXT_MAX];
    int64_t v;
    int64_t again;

    if (time_parse_rfc3339(s, &v)) {
        struct str out = time_format_rfc3339(v, text);
        /* An offset may lead out of the years that the parser takes. */
        INVARIANT(!time_parse_rfc3339(out, &again) || again == v);
        INVARIANT(time_day_start(v) <= v && v - time_day_start(v) < NS_PER_DAY);
    }
    if (dur_parse(s, true, &v))
        INVARIANT(dur_parse(dur_format(v, text), true, &again) && again == v);
    return 0;
}
