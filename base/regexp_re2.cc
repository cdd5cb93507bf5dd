/*
 * base/regexp_re2.cc - see regexp.h.
 *
 * Most patterns in practice hold plain text, and RE2 is slower than memmem at that.  So a pattern
 * is read once here before RE2 sees it, for two things that only shorten the way to the same
 * answer:
 *   - plain text, or plain alternatives (a|b), is a comparison or a substring search for each;
 *   - from others, the longest run of plain characters that every match must contain (`required`):
 *     a text without it is turned away by memmem.
 * The reader knows a part of the syntax and gives up (nothing plain, nothing required) at the rest.
 *
 * Bytes that are not UTF-8.  LogQL's engine reads each such byte as one U+FFFD; RE2 in UTF-8 mode
 * never lets `.` or a negated class match one.  A text with such bytes is therefore matched again
 * in a copy where each is replaced by U+FFFD, and captures are mapped back to the original's bytes.
 * Texts over REPAIR_MAX, or when there is no memory for the copy, are matched as they are.
 */
#define _Noreturn [[noreturn]] /* C's word for it, in obj.h */
extern "C" {
#include "base/regexp.h"

#include "base/obj.h"
#include "base/regexp_cost.h"
#include "base/regexp_syntax.h"
#include "base/utf8.h"
}

#include <re2/re2.h>
#include <re2/stringpiece.h>

#include <cctype>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

namespace
{

constexpr size_t REPAIR_MAX = 4 << 20;
constexpr size_t PLAIN_MAX = 8; /* more alternatives are faster in one pass of RE2 */
constexpr int64_t PROGRAM_BYTES = 8 << 20;
constexpr unsigned REGEXP_MAGIC = 0x4e9e2b61u;
const char REPLACEMENT[] = "\xef\xbf\xbd";

struct str view(const char *p, size_t n)
{
    struct str s = {p, n};
    return s;
}

/* What can be said about a pattern without compiling it. */
struct reading {
    std::vector<std::string>
        plain;            /* the pattern is one of these texts; empty: it is not that simple */
    std::string required; /* each match contains this; "" says nothing */
};

bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads a pattern from left to right, gathering runs of plain characters. */
class reader
{
  public:
    explicit reader(struct str pattern) : p_(pattern.p), end_(pattern.p + pattern.n)
    {
    }

    reading read();

  private:
    bool at(char c) const
    {
        return p_ < end_ && *p_ == c;
    }
    void end_run();
    void add_char(const char *from, size_t n);
    void skip_class();
    bool skip_group();
    bool is_repeated_flags(const char *group) const;
    bool read_escape();
    size_t counted() const;
    void skip_repeat();
    bool step();

    const char *p_, *end_;
    std::string run_, best_;
    std::vector<std::string> alternatives_; /* those that end with a '|' */
    size_t last_ = 0;                       /* bytes of the last character in run_ */
    bool plain_ = true;
    bool unended_ = false; /* see regexp_class_end */
};

void reader::end_run()
{
    if (run_.size() > best_.size())
        best_ = run_;
    run_.clear();
    last_ = 0;
}

void reader::add_char(const char *from, size_t n)
{
    run_.append(from, n);
    last_ = n;
}

/* p_ is on '['. */
void reader::skip_class()
{
    struct str rest = view(p_, static_cast<size_t>(end_ - p_));

    p_ += regexp_class_end(rest, 0, &unended_);
}

/* p_ is on '('.  False: it holds what this reader does not know. */
bool reader::skip_group()
{
    int depth = 0;

    while (p_ < end_) {
        if (*p_ == '\\') {
            if (end_ - p_ < 2 || p_[1] == 'Q')
                return false;
            p_ += 2;
            continue;
        }
        if (*p_ == '[') {
            skip_class();
            continue;
        }
        if (*p_ == '(')
            depth++;
        /* (?i) changes what follows it; other flags do not change what a plain character is. */
        if (*p_ == '(' && end_ - p_ > 1 && p_[1] == '?') {
            const char *q = p_ + 2;
            while (q < end_ && *q != '\0' && strchr("msU-", *q) != nullptr)
                q++;
            if (q < end_ && *q == 'i')
                return false;
        }
        if (*p_ == ')')
            depth--;
        p_++;
        if (depth == 0)
            return true;
    }
    return false;
}

/* p_ is on a backslash. */
bool reader::read_escape()
{
    char c;

    if (end_ - p_ < 2)
        return false;
    c = p_[1];
    if (strchr("dDwWsSbBAz", c) != nullptr && c != '\0') {
        end_run();
        plain_ = false;
    } else if (static_cast<unsigned char>(c) < 0x80 && ispunct(static_cast<unsigned char>(c))) {
        add_char(p_ + 1, 1);
    } else {
        return false;
    }
    p_ += 2;
    return true;
}

/* Length of a counted repetition ({2}, {2,}, {2,5}) at p_; 0: the brace stands for itself. */
size_t reader::counted() const
{
    const char *q = p_ + 1;
    bool digits = q < end_ && is_digit(*q);

    while (q < end_ && is_digit(*q))
        q++;
    if (q < end_ && *q == ',')
        q++;
    while (q < end_ && is_digit(*q))
        q++;
    return digits && q < end_ && *q == '}' ? static_cast<size_t>(q + 1 - p_) : 0;
}

/* A repetition behind the last character or group: with a possible count of zero that one is not
 * required, and in any case what follows is not next to it. */
void reader::skip_repeat()
{
    size_t n = 0;

    if (at('{'))
        n = counted();
    else if (at('*') || at('+') || at('?'))
        n = 1;
    if (n == 0)
        return;
    plain_ = false;
    if (*p_ != '+')
        run_.resize(run_.size() - last_);
    end_run();
    p_ += n;
    while (at('?') || at('+') || at('*')) /* lazy; others are RE2's to refuse */
        p_++;
}

/* A group of flags alone ends at p_: a repetition behind it is one of what stands before it. */
bool reader::is_repeated_flags(const char *group) const
{
    const char *q = group + 1;

    if (q == end_ || *q != '?' || !(at('*') || at('+') || at('?') || at('{')))
        return false;
    q++;
    while (q < p_ - 1 && *q != '\0' && strchr("imsU-", *q) != nullptr)
        q++;
    return q == p_ - 1;
}

/* One character, class or group with its repetition; false: give up. */
bool reader::step()
{
    const char *from = p_;
    size_t n = 1;

    switch (*p_) {
    case '|':
        alternatives_.push_back(run_);
        run_.clear();
        last_ = 0;
        p_++;
        return plain_; /* with anything but plain text in it, no run is required */
    case '(':
        end_run();
        plain_ = false;
        if (!skip_group() || is_repeated_flags(from))
            return false;
        break;
    case '[':
        end_run();
        plain_ = false;
        skip_class();
        break;
    case '.':
    case '^':
    case '$':
        end_run();
        plain_ = false;
        p_++;
        break;
    case '\\':
        if (!read_escape())
            return false;
        break;
    default:
        while (p_ + n < end_ && (static_cast<unsigned char>(p_[n]) & 0xc0) == 0x80)
            n++;
        add_char(p_, n);
        p_ += n;
        break;
    }
    skip_repeat();
    return true;
}

bool is_bare(const std::string &text)
{
    return text.find(REPLACEMENT) ==
           std::string::npos; /* it may stand for a byte that is not UTF-8 */
}

reading reader::read()
{
    reading ret;

    while (p_ < end_)
        if (!step())
            return {};
    if (plain_) {
        alternatives_.push_back(run_);
        for (const std::string &text : alternatives_)
            if (!is_bare(text) || alternatives_.size() > PLAIN_MAX)
                return {};
        ret.plain = alternatives_;
    }
    end_run();
    if (alternatives_.size() == (plain_ ? 1 : 0) && is_bare(best_))
        ret.required = best_;
    return ret;
}

/* \C would let a match end inside a character, and Go has no such thing. */
bool has_any_byte(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        size_t escape = str_find_char(str_from(s, i), '\\');
        if (escape == SIZE_MAX || escape + 1 >= s.n - i)
            return false;
        i += escape + 1;
        if (s.p[i] == 'C')
            return true;
        if (s.p[i] == 'Q') {
            size_t end = str_find(str_from(s, i), view("\\E", 2));
            if (end == SIZE_MAX)
                return false;
            i += end + 1;
        }
    }
    return false;
}

/* Is "(?<name>" at `at`? */
bool is_name_at(struct str s, size_t at)
{
    size_t end = at + 3;

    while (end < s.n && (s.p[end] == '_' || (static_cast<unsigned char>(s.p[end]) < 0x80 &&
                                             isalnum(static_cast<unsigned char>(s.p[end])))))
        end++;
    return end > at + 3 && end < s.n && s.p[end] == '>';
}

/* The pattern in words that RE2 knows.  Go takes (?<name>, this RE2 only (?P<name>; what is not a
 * name is left for RE2 to complain about. */
std::string translate(struct str s)
{
    std::string ret;
    size_t from = 0; /* what is not in ret yet */
    bool unended = false;

    if (str_find(s, view("(?<", 3)) == SIZE_MAX)
        return std::string(s.n > 0 ? s.p : "", s.n);
    for (size_t i = 0; i < s.n;) {
        if (s.p[i] == '\\' && i + 1 < s.n && s.p[i + 1] == 'Q') {
            size_t end = str_find(str_from(s, i), view("\\E", 2));
            i = end == SIZE_MAX ? s.n : i + end + 2;
        } else if (s.p[i] == '\\') {
            i += 2;
        } else if (s.p[i] == '[') {
            i = regexp_class_end(s, i, &unended);
        } else if (str_starts(str_from(s, i), view("(?<", 3)) && is_name_at(s, i)) {
            ret.append(s.p + from, i + 2 - from).append("P");
            from = i + 2;
            i += 3;
        } else {
            i++;
        }
    }
    return ret.append(s.p + from, s.n - from);
}

/* A copy of a text with each byte that is not UTF-8 replaced, and the way back. */
class repaired
{
  public:
    repaired() = default;
    repaired(const repaired &) = delete;
    repaired &operator=(const repaired &) = delete;
    ~repaired()
    {
        free(text_.p);
        free(spots_);
    }

    /* False: there is nothing to repair, or it cannot be done. */
    bool make(struct str s);
    re2::StringPiece text() const
    {
        return re2::StringPiece(text_.p, text_.n);
    }
    size_t to_original(size_t at) const;
    size_t from_original(size_t at) const;

  private:
    struct buf text_ = {};
    size_t *spots_ = nullptr; /* offsets of the replacements in the copy, rising */
    size_t n_spots_ = 0;
};

bool repaired::make(struct str s)
{
    size_t ok = utf8_valid(s);
    size_t cap = 16;

    if (ok == s.n || s.n > REPAIR_MAX)
        return false;
    buf_init(&text_, 3 * s.n);
    spots_ = static_cast<size_t *>(malloc(cap * sizeof(*spots_)));
    while (spots_ != nullptr && s.n > 0) {
        buf_add(&text_, s.p, ok);
        s = str_from(s, ok);
        if (s.n == 0)
            break;
        if (n_spots_ == cap) {
            void *wider = realloc(spots_, 2 * cap * sizeof(*spots_));
            if (wider == nullptr)
                return false;
            spots_ = static_cast<size_t *>(wider);
            cap *= 2;
        }
        spots_[n_spots_++] = text_.n;
        buf_add(&text_, REPLACEMENT, 3);
        s = str_from(s, 1);
        ok = utf8_valid(s);
    }
    return spots_ != nullptr && !text_.over;
}

size_t repaired::to_original(size_t at) const
{
    size_t lo = 0;
    size_t hi = n_spots_;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (spots_[mid] < at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return at - 2 * lo; /* each replacement before it is two bytes longer */
}

size_t repaired::from_original(size_t at) const
{
    size_t i = 0;

    while (i < n_spots_ && spots_[i] - 2 * i < at)
        i++;
    return at + 2 * i;
}

re2::StringPiece piece(struct str s)
{
    return s.n == 0 ? re2::StringPiece("", 0) : re2::StringPiece(s.p, s.n);
}

} // namespace

struct regexp {
    unsigned magic;
    bool anchored;
    std::vector<std::string> plain; /* as in reading */
    std::string required;
    std::string given; /* where RE2 was given another pattern, else empty */
    RE2 re;

    regexp(struct str pattern, bool whole, const reading &rd, const RE2::Options &opt)
        : magic(REGEXP_MAGIC), anchored(whole), plain(rd.plain), required(rd.required),
          re(translate(pattern), opt)
    {
        if (re.pattern().size() != pattern.n)
            given.assign(pattern.p, pattern.n);
    }

    RE2::Anchor anchor() const
    {
        return anchored ? RE2::ANCHOR_BOTH : RE2::UNANCHORED;
    }
    struct str needle() const
    {
        return {required.data(), required.size()};
    }
};

int regexp_check_size(struct str pattern, struct err *err)
{
    if (pattern.n > REGEXP_MAX_BYTES)
        return err_set(err, ERR_LIMIT, "pattern of %zu bytes is too long", pattern.n);
    if (regexp_cost(pattern) > REGEXP_COST_MAX)
        return err_set(
            err, ERR_LIMIT,
            "pattern is too large: fewer repetitions, classes and groups, or several patterns");
    return 0;
}

static int check_bytes(struct str pattern, struct err *err)
{
    if (has_any_byte(pattern))
        return err_set(err, ERR_INVALID, "invalid escape sequence: \\C");
    return 0;
}

static int make(struct str pattern, bool anchored, bool dot_nl, struct regexp **ret,
                struct err *err)
{
    RE2::Options opt;
    struct regexp *r;
    int x = regexp_check_size(pattern, err);

    if (x == 0)
        x = check_bytes(pattern, err);
    if (x < 0)
        return x;
    opt.set_encoding(RE2::Options::EncodingUTF8);
    opt.set_log_errors(false);
    opt.set_dot_nl(dot_nl);
    opt.set_max_mem(PROGRAM_BYTES);
    r = new (std::nothrow) regexp(pattern, anchored, reader(pattern).read(), opt);
    if (r == nullptr)
        return err_set(err, ERR_NOMEM, "out of memory for a pattern");
    if (!r->re.ok()) {
        int code = r->re.error_code() == RE2::ErrorPatternTooLarge ? ERR_LIMIT : ERR_INVALID;
        if (r->given.empty() || regexp_check(pattern, err) == 0) /* that quotes what was given */
            (void)err_set(err, code, "%.200s", r->re.error().c_str());
        delete r;
        return code;
    }
    *ret = r;
    return 0;
}

int regexp_new(struct str pattern, bool anchored, struct regexp **ret, struct err *err)
{
    return make(pattern, anchored, false, ret, err);
}

int regexp_new_value(struct str pattern, struct regexp **ret, struct err *err)
{
    return make(pattern, true, true, ret, err);
}

/* What RE2 says of a piece of a pattern; 0: nothing. */
static int ask(const std::string &piece, struct err *err)
{
    RE2::Options opt;

    opt.set_log_errors(false);
    RE2 re(piece, opt);
    return re.ok() ? 0 : err_set(err, ERR_INVALID, "%.200s", re.error().c_str());
}

int regexp_check(struct str pattern, struct err *err)
{
    int r = check_bytes(pattern, err);

    if (r < 0)
        return r;
    struct regexp_fault f = regexp_syntax(pattern);
    std::string piece(f.piece.n > 0 ? f.piece.p : "", f.piece.n);
    switch (f.kind) {
    case REGEXP_FAULT_NONE:
        break;
    case REGEXP_FAULT_OPEN:
        return err_set(err, ERR_INVALID, "missing ): %.*s", STR_ARG(str_sub(pattern, 0, 189)));
    case REGEXP_FAULT_CLOSE:
        return err_set(err, ERR_INVALID, "unexpected ): %.*s", STR_ARG(str_sub(pattern, 0, 186)));
    case REGEXP_FAULT_CLASS:
        return err_set(err, ERR_INVALID, "missing ]: %.*s", STR_ARG(str_sub(f.piece, 0, 189)));
    case REGEXP_FAULT_PIECE:
        return ask(piece, err);
    case REGEXP_FAULT_GROUP:
        return ask(piece + ")", err);
    case REGEXP_FAULT_IN_CLASS: /* neither at its beginning, where some characters are others */
        piece.insert(0, piece[0] == ']' ? "[" : "[\\d");
        if (f.piece.p + f.piece.n <
            pattern.p + pattern.n) /* else the class is not closed, either */
            piece += "]";
        return ask(piece, err);
    case REGEXP_FAULT_REPEATED:
        return ask("x" + piece, err);
    }
    return 0;
}

void regexp_free(struct regexp **pr)
{
    if (*pr == nullptr)
        return;
    OBJ_CHECK(*pr, REGEXP_MAGIC);
    (*pr)->magic = 0;
    delete *pr;
    *pr = nullptr;
}

static bool matches_plain(const struct regexp *r, struct str text)
{
    for (const std::string &want : r->plain) {
        struct str s = view(want.data(), want.size());
        if (r->anchored ? str_eq(text, s) : str_find(text, s) != SIZE_MAX)
            return true;
    }
    return false;
}

bool regexp_matches(const struct regexp *r, struct str text)
{
    OBJ_CHECK(r, REGEXP_MAGIC);
    if (!r->plain.empty())
        return matches_plain(r, text);
    if (!r->required.empty() && str_find(text, r->needle()) == SIZE_MAX)
        return false;
    if (r->re.Match(piece(text), 0, text.n, r->anchor(), nullptr, 0))
        return true;
    repaired copy;
    return copy.make(text) &&
           r->re.Match(copy.text(), 0, copy.text().size(), r->anchor(), nullptr, 0);
}

struct str regexp_pattern(const struct regexp *r)
{
    OBJ_CHECK(r, REGEXP_MAGIC);
    const std::string &given = r->given.empty() ? r->re.pattern() : r->given;
    return view(given.data(), given.size());
}

struct str regexp_required(const struct regexp *r)
{
    OBJ_CHECK(r, REGEXP_MAGIC);
    return r->needle();
}

size_t regexp_captures(const struct regexp *r)
{
    OBJ_CHECK(r, REGEXP_MAGIC);
    return static_cast<size_t>(r->re.NumberOfCapturingGroups());
}

struct str regexp_capture_name(const struct regexp *r, size_t i)
{
    OBJ_CHECK(r, REGEXP_MAGIC);
    const auto &names = r->re.CapturingGroupNames();
    auto it = names.find(static_cast<int>(i));

    if (it == names.end())
        return view(nullptr, 0);
    return {it->second.data(), it->second.size()};
}

bool regexp_capture(const struct regexp *r, struct str text, size_t from, struct str *ret, size_t n)
{
    re2::StringPiece found[REGEXP_MAX_CAPTURES];
    repaired copy;
    re2::StringPiece in = piece(text);
    const char *base = text.n == 0 ? "" : text.p;
    bool mapped;

    OBJ_CHECK(r, REGEXP_MAGIC);
    INVARIANT(n <= REGEXP_MAX_CAPTURES);
    if (from > text.n)
        return false;
    if (!r->required.empty() && str_find(str_from(text, from), r->needle()) == SIZE_MAX)
        return false;
    mapped = copy.make(text);
    if (mapped) {
        in = copy.text();
        from = copy.from_original(from);
    }
    if (!r->re.Match(in, from, in.size(), r->anchor(), found, static_cast<int>(n)))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (found[i].data() == nullptr) {
            ret[i] = view(nullptr, 0);
            continue;
        }
        size_t begin = static_cast<size_t>(found[i].data() - in.data());
        size_t end = begin + found[i].size();
        if (mapped) {
            begin = copy.to_original(begin);
            end = copy.to_original(end);
        }
        ret[i] = view(base + begin, end - begin);
    }
    return true;
}
