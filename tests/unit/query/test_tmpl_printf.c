/* tests/unit/query/test_tmpl_printf.c - formats, compared with Go's fmt. */
#include "tests/unit/query/tmpl_rows.h"

static const struct tmpl_row FORMATS[] = {
    {"{{printf \"%d %5d|%-5d|%05d|%+d|% d|%x|%X|%#x|%o|%#o|%O|%b|%#b|%c|%q|%U|%#U\" 42 42 42 42 42 "
     "42 255 255 255 8 8 8 5 5 65 65 65 65}}",
     "42    42|42   |00042|+42| 42|ff|FF|0xff|10|010|0o10|101|0b101|A|'A'|U+0041|U+0041 'A'"},
    {"{{printf \"%s|%10s|%-10s|%.3s|%q|%#q|%+q|%x|% x|%#x|%# x|%X|%010s\" .s .s .s .s .s .s .uni "
     ".n .n .n .n .n .n}}",
     "Hello, World|Hello, World|Hello, World|Hel|\"Hello, World\"|`Hello, World`|\"\\u00dcFT8 "
     "\\u4e16\\u754c\"|3432|34 32|0x3432|0x34 0x32|3432|0000000042"},
    {"{{printf \"%v %+v %#v %T\" .s .s .s .s}}",
     "Hello, World Hello, World \"Hello, World\" string"},
    {"{{printf \"%v %+v %#v %T\" 42 42 42 42}}", "42 42 42 int"},
    {"{{printf \"%v %+v %#v %T\" 1.5 1.5 1.5 1.5}}", "1.5 1.5 1.5 float64"},
    {"{{printf \"%v %+v %#v %T\" . . . .}}",
     "map[arr:[3,1,2] e: f:3.75 html:<a href='x'>\"&</a> "
     "j:{\"a\":{\"b\":[1,2,{\"c\":\"d\"}]},\"k\":\"v\",\"n\":null,\"t\":true} n:42 s:Hello, World "
     "sp:  x y z   uni:\xc3\x9c"
     "FT8 \xe4\xb8\x96\xe7\x95\x8c] map[arr:[3,1,2] e: f:3.75 html:<a href='x'>\"&</a> "
     "j:{\"a\":{\"b\":[1,2,{\"c\":\"d\"}]},\"k\":\"v\",\"n\":null,\"t\":true} n:42 s:Hello, World "
     "sp:  x y z   uni:\xc3\x9c"
     "FT8 \xe4\xb8\x96\xe7\x95\x8c] map[string]string{\"arr\":\"[3,1,2]\", \"e\":\"\", "
     "\"f\":\"3.75\", \"html\":\"<a href='x'>\\\"&</a>\", "
     "\"j\":\"{\\\"a\\\":{\\\"b\\\":[1,2,{\\\"c\\\":\\\"d\\\"}]},\\\"k\\\":\\\"v\\\",\\\"n\\\":"
     "null,\\\"t\\\":true}\", \"n\":\"42\", \"s\":\"Hello, World\", \"sp\":\"  x y z  \", "
     "\"uni\":\"\xc3\x9c"
     "FT8 \xe4\xb8\x96\xe7\x95\x8c\"} map[string]string"},
    {"{{printf \"%v %+v %#v %T\" (fromJson .j) (fromJson .j) (fromJson .j) (fromJson .j)}}",
     "map[a:map[b:[1 2 map[c:d]]] k:v n:<nil> t:true] map[a:map[b:[1 2 map[c:d]]] k:v n:<nil> "
     "t:true] map[string]interface {}{\"a\":map[string]interface {}{\"b\":[]interface {}{1, 2, "
     "map[string]interface {}{\"c\":\"d\"}}}, \"k\":\"v\", \"n\":interface {}(nil), \"t\":true} "
     "map[string]interface {}"},
    {"{{printf \"%v %+v %#v %T\" (fromJson .arr) (fromJson .arr) (fromJson .arr) (fromJson .arr)}}",
     "[3 1 2] [3 1 2] []interface {}{3, 1, 2} []interface {}"},
    {"{{printf \"%v %+v %#v %T\" true true true true}}", "true true true bool"},
    {"{{printf \"%v %+v %#v %T\" nil nil nil nil}}", "<nil> <nil> <nil> <nil>"},
    {"{{printf \"%v %+v %T\" (toDate \"2006-01-02\" \"2023-05-06\") (toDate \"2006-01-02\" "
     "\"2023-05-06\") (toDate \"2006-01-02\" \"2023-05-06\")}}",
     "2023-05-06 00:00:00 +0000 UTC 2023-05-06 00:00:00 +0000 UTC time.Time"},
    {"{{printf \"%s %q %x %20v|%d\" (toDate \"2006-01-02\" \"2023-05-06\") (toDate \"2006-01-02\" "
     "\"2023-05-06\") (toDate \"2006-01-02\" \"2023-05-06\") (toDate \"2006-01-02\" "
     "\"2023-05-06\") 1}}",
     "2023-05-06 00:00:00 +0000 UTC \"2023-05-06 00:00:00 +0000 UTC\" "
     "323032332d30352d30362030303a30303a3030202b3030303020555443 2023-05-06 00:00:00 +0000 UTC|1"},
    {"{{printf \"%e %E %f %F %g %G %.2f %8.3f|%-8.2f|%+.1f|%08.2f|% f\" 1234.5678 1234.5678 "
     "1234.5678 1234.5678 1234.5678 1234.5678 1234.5678 1234.5678 1234.5678 1234.5678 -1234.5678 "
     "1.0}}",
     "1.234568e+03 1.234568E+03 1234.567800 1234.567800 1234.5678 1234.5678 1234.57 "
     "1234.568|1234.57 |+1234.6|-1234.57| 1.000000"},
    {"{{printf \"%g %g %g %g %g %g\" 100000.0 1000000.0 0.0001 0.00001 123456789.0 1e21}}",
     "100000 1e+06 0.0001 1e-05 1.23456789e+08 1e+21"},
    {"{{printf \"%.3g %.10g %#g %#.3g %#f %.0f %#.0f %e\" 1234.5678 1234.5678 1.0 1.0 1.0 2.5 2.5 "
     "0.0}}",
     "1.23e+03 1234.5678 1.00000 1.00 1.000000 2 2. 0.000000e+00"},
    {"{{printf \"%x %X %.3x %b %b\" 1.5 1.5 1.5 1.5 0.0}}",
     "0x1.8p+00 0X1.8P+00 0x1.800p+00 6755399441055744p-52 0p-1074"},
    {"{{printf \"%t %t %v\" true false true}}", "true false true"},
    {"{{printf \"%t %d %s %z %!\" 1 \"a\" 2 3}}",
     "%!t(int=1) %!d(string=a) %!s(int=2) %!z(int=3) %!!(MISSING)"},
    {"{{printf \"%d %d\" 1}}", "1 %!d(MISSING)"},
    {"{{printf \"%d\" 1 2 \"x\"}}", "1%!(EXTRA int=2, string=x)"},
    {"{{printf \"%\"}}", "%!(NOVERB)"},
    {"{{printf \"%5\"}}", "%!(NOVERB)"},
    {"{{printf \"100%%\"}}", "100%"},
    {"{{printf \"%-\"}}", "%!(NOVERB)"},
    {"{{printf \"%[2]d %[1]d\" 1 2}}", "2 1"},
    {"{{printf \"%[3]d\" 1}}", "%!d(BADINDEX)"},
    {"{{printf \"%[x]d\" 1}}", "%!d(BADINDEX)"},
    {"{{printf \"%[2]*[1]d\" 2 6}}", "     2"},
    {"{{printf \"%*d|%-*d|%.*f\" 5 1 5 2 2 3.14159}}", "    1|2    |3.14"},
    {"{{printf \"%*d\" \"a\" 1}}", "%!(BADWIDTH)1"},
    {"{{printf \"%.*d\" -2 1}}", "%!(BADPREC)1"},
    {"{{printf \"%[1]d %d %d\" 1 2}}", "1 2 %!d(MISSING)"},
    {"{{printf \"%.[2]*f\" 3.14159 2}}", "%!f(MISSING)"},
    {"{{printf \"%5t|%-7t|%q|%v\" true false 'x' 'x'}}", " true|false  |'x'|120"},
    {"{{printf \"%s %d %v\" nil nil nil}}", "%!s(<nil>) %!d(<nil>) <nil>"},
    {"{{printf \"%6.2f%%|%+d|%+v\" 99.5 5 5}}", " 99.50%|+5|5"},
    {"{{printf \"%d\" .n}}", "%!d(string=42)"},
    {"{{printf \"%d\" (int .n)}}", "42"},
    {"{{printf \"%s\" 42}}", "%!s(int=42)"},
    {"{{printf \"%d\" 1.5}}", "%!d(float64=1.5)"},
    {"{{printf \"%s\" (fromJson .arr)}}", "[%!s(float64=3) %!s(float64=1) %!s(float64=2)]"},
    {"{{printf \"%d\" (fromJson .arr)}}", "[%!d(float64=3) %!d(float64=1) %!d(float64=2)]"},
    {"{{printf \"%5v|%-5v|\" (fromJson .arr) (fromJson .arr)}}",
     "[    3     1     2]|[3     1     2    ]|"},
    {"{{printf .n}}", "42"},
    {"{{printf \"%v\" (index \"abc\" 1)}}", "98"},
    {"{{printf \"%T %c %#v\" (index \"abc\" 1) (index \"abc\" 1) (index \"abc\" 1)}}",
     "uint8 b 0x62"},
    {"{{printf \"%08.3d|%8.3d|%-8.3d|%+.3d|%.0d|\" 5 5 5 5 0}}",
     "     005|     005|005     |+005||"},
    {"{{printf \"%x %X %x\" \"hello\" \"hello\" -255}}", "68656c6c6f 68656C6C6F -ff"},
    {"{{printf \"%c%c\" 19990 128512}}", "\xe4\xb8\x96\xf0\x9f\x98\x80"},
    {"{{printf \"%q\" 128512}}", "'\xf0\x9f\x98\x80'"},
    {"{{printf \"%U\" -1}}", "U+FFFFFFFFFFFFFFFF"},
    {"{{printf \"%\xe4\xb8\x96\" 1}}", "%!\xe4\xb8\x96(int=1)"},
    {"{{printf \"%\xc3\xa9\" \"x\"}}", "%!\xc3\xa9(string=x)"},
    {"{{printf \"%d %v %s\" __timestamp__.Month __timestamp__.Month __timestamp__.Weekday}}",
     "8 August Friday"},
    {"{{\"a\"|printf \"%s-%s\" \"b\"}}", "b-a"},
    {"{{printf \"%s\" \"x\" | upper | printf \"%q\"}}", "\"X\""},
    {"{{printf \"%q %x\" .bad .bad}}", "\"\" "},
    {"{{\"quote\\\"d\" | printf \"%q\"}}", "\"quote\\\"d\""},
    {"{{printf \"%q\" \"a\\x00\\x7f\\u200b\\U0001F600\"}}",
     "\"a\\x00\\x7f\\u200b\xf0\x9f\x98\x80\""},
    {"{{printf \"%+q\" \"\xc3\xa9\\U0001F600\"}}", "\"\\u00e9\\U0001f600\""},
};

static void formats_print_what_go_prints(void **state)
{
    (void)state;
    TMPL_CHECK(FORMATS, 0);
}

CHECK_MAIN(cmocka_unit_test(formats_print_what_go_prints))
