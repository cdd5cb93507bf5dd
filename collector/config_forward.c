/* collector/config_forward.c - contract: config_forward.h. */
#include "collector/config_forward.h"

#include "wire/address.h"

/* A port of this host, or the path of a unix socket: nobody is asked who he is. */
static const char *complaint_of_listen(struct str address)
{
    struct address a;
    struct err err;

    if (str_starts(address, STR("unix:")) && !str_starts(address, STR("unix:/")))
        return "the path of a unix socket must begin with /";
    if (!str_starts(address, STR("unix:/")) && !str_starts(address, STR("127.0.0.1:")) &&
        !str_starts(address, STR("[::1]:")))
        return "clients are on this host and nobody asks who they are: unix:/path, 127.0.0.1:port "
               "or [::1]:port";
    return address_parse(address.p, &a, &err) < 0 ? "this is no address" : NULL;
}

static bool mode_of(struct str text, unsigned *ret)
{
    unsigned mode = 0;

    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '7')
            return false;
        mode = mode * 8 + (unsigned)(text.p[i] - '0');
    }
    *ret = mode;
    return text.n >= 3 && text.n <= 4 && mode <= 0777;
}

void config_forward_check(struct config_source *s, config_forward_fn *complain, void *arg)
{
    struct conf_strs listen = s->forward.listen;

    if (s->type != CONFIG_FORWARD) {
        if (listen.n > 0)
            complain(arg, "listen", "only an input of type forward listens");
        return;
    }
    if (listen.n == 0)
        complain(arg, "type", "an input of type forward needs listen");
    if (listen.n > CONFIG_LISTEN_MAX)
        complain(arg, "listen", "there can be 4 addresses");
    for (size_t n = 0; n < listen.n; n++) {
        const char *wrong = complaint_of_listen(listen.v[n]);
        if (wrong != NULL)
            complain(arg, "listen", wrong);
        for (size_t before = 0; before < n; before++)
            if (str_eq(listen.v[before], listen.v[n]))
                complain(arg, "listen", "an address is there twice");
    }
    if (!mode_of(s->forward.mode_text, &s->forward.mode))
        complain(arg, "listen_mode", "a mode is three or four octal digits, such as 0660");
    if (s->paths.n > 0)
        complain(arg, "paths", "an input of type forward listens, and reads no files");
    if (s->multiline.start.n > 0 || s->multiline.format != 0)
        complain(arg, "multiline", "an entry of Forward is a record of its own");
}
