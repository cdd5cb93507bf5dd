/*
 * tests/unit/query/test_tmpl.c - the template language: what it makes, what it refuses and how it
 * fails, and what it costs at most.  Outputs and messages were compared with Go's text/template.
 */
#include "tests/unit/query/tmpl_rows.h"

#include <string.h>

static const struct tmpl_row LANGUAGE[] = {
    {"{{.s}}", "Hello, World"},
    {"{{.missing}}", ""},
    {"{{.}}", "map[arr:[3,1,2] e: f:3.75 html:<a href='x'>\"&</a> "
              "j:{\"a\":{\"b\":[1,2,{\"c\":\"d\"}]},\"k\":\"v\",\"n\":null,\"t\":true} n:42 "
              "s:Hello, World sp:  x y z   uni:\xc3\x9c"
              "FT8 \xe4\xb8\x96\xe7\x95\x8c]"},
    {"{{len .}}", "9"},
    {"{{len .s}}", "12"},
    {"{{index . \"s\"}}", "Hello, World"},
    {"{{index . \"nope\"}}", ""},
    {"{{$x := .n}}{{$x}}{{$x = \"7\"}}{{$x}}{{if true}}{{$x := 1}}{{$x}}{{$x = "
     "2}}{{$x}}{{end}}{{$x}}",
     "427127"},
    {"{{$x := 1}}{{$x := add $x 1}}{{$x}}", "2"},
    {"{{range $i, $e := fromJson .arr}}{{$i}}={{$e}};{{end}}", "0=3;1=1;2=2;"},
    {"{{range $e := fromJson .arr}}{{$e}};{{end}}{{range fromJson .arr}}{{.}}{{else}}none{{end}}",
     "3;1;2;312"},
    {"{{range fromJson \"[]\"}}x{{else}}none{{end}}", "none"},
    {"{{range fromJson .arr}}{{if eq . 1.0}}{{continue}}{{end}}{{.}}{{if eq . "
     "2.0}}{{break}}{{end}}{{end}}",
     "32"},
    {"{{range $k, $v := .}}{{$k}},{{end}}", "arr,e,f,html,j,n,s,sp,uni,"},
    {"{{with .s}}{{.}}{{else}}no{{end}}{{with .e}}x{{else}}empty{{end}}", "Hello, Worldempty"},
    {"{{with $v := .n}}{{$v}}{{.}}{{end}}", "4242"},
    {"{{define \"a\"}}<{{.}}>{{end}}{{template \"a\" .s}}{{template \"a\"}}",
     "<Hello, World><<no value>>"},
    {"{{define \"a\"}}{{.s}}{{end}}{{template \"a\" .}}", "Hello, World"},
    {"{{block \"b\" .s}}[{{.}}]{{end}}", "[Hello, World]"},
    {"{{block \"b\" .}}[{{.s}}]{{end}}{{template \"b\" .}}", "[Hello, World][Hello, World]"},
    {"{{define \"r\"}}{{if .}}x{{template \"r\" (slice . 1)}}{{end}}{{end}}{{template \"r\" "
     "\"abc\"}}",
     "xxx"},
    {"{{/* c */}}x{{- /* d */ -}} y", "xy"},
    {"a  {{- .n -}}  b", "a42b"},
    {"{{-3}}", "-3"},
    {"a {{- 3 -}} b", "a3b"},
    {"{{\"a\\tb\\x41\\u00e9\\101\"}}", "a\tbA\xc3\xa9"
                                       "A"},
    {"{{`raw\\n`}}", "raw\\n"},
    {"{{'x'}}", "120"},
    {"{{'\\n'}}", "10"},
    {"{{'\\''}}", "39"},
    {"{{'\xc3\xa9'}}", "233"},
    {"{{0x1F}}", "31"},
    {"{{0b11}}", "3"},
    {"{{0o17}}", "15"},
    {"{{017}}", "15"},
    {"{{1_000}}", "1000"},
    {"{{1e3}}", "1000"},
    {"{{1.5}}", "1.5"},
    {"{{.5}}", "0.5"},
    {"{{+3}}", "3"},
    {"{{1e100}}", "1e+100"},
    {"{{0x1p4}}", "16"},
    {"{{1e-7}}", "1e-07"},
    {"{{1.}}", "1"},
    {"{{.s | }}", "Hello, World"},
    {"{{if .e}}a{{else if .n}}b{{else}}c{{end}}{{if .e}}a{{else if .e}}b{{else if "
     ".missing}}x{{else}}c{{end}}",
     "bc"},
    {"{{(.s)}}", "Hello, World"},
    {"{{((fromJson .j).a)}}", "map[b:[1 2 map[c:d]]]"},
    {"{{$}}", "map[arr:[3,1,2] e: f:3.75 html:<a href='x'>\"&</a> "
              "j:{\"a\":{\"b\":[1,2,{\"c\":\"d\"}]},\"k\":\"v\",\"n\":null,\"t\":true} n:42 "
              "s:Hello, World sp:  x y z   uni:\xc3\x9c"
              "FT8 \xe4\xb8\x96\xe7\x95\x8c]"},
    {"{{$.s}}", "Hello, World"},
    {"{{range fromJson .arr}}{{$.n}}{{end}}", "424242"},
    {"{{true}}", "true"},
    {"{{false}}", "false"},
    {"{{eq 1 1}}", "true"},
    {"{{eq 1 2 1}}", "true"},
    {"{{eq \"a\" \"b\"}}", "false"},
    {"{{eq .n \"42\"}}", "true"},
    {"{{eq 1.0 1.0}}", "true"},
    {"{{ne 1 2}}", "true"},
    {"{{eq (fromJson .j).zz nil}}", "true"},
    {"{{eq nil nil}}", "true"},
    {"{{eq 'a' 97}}", "true"},
    {"{{eq (index \"abc\" 0) 'a'}}", "true"},
    {"{{lt (index \"abc\" 0) 98}}", "true"},
    {"{{lt 1 2}}", "true"},
    {"{{le 2 2}}", "true"},
    {"{{gt 1 2}}", "false"},
    {"{{ge 2 2}}", "true"},
    {"{{lt \"a\" \"b\"}}", "true"},
    {"{{lt 1.5 2.5}}", "true"},
    {"{{and .s .n}}", "42"},
    {"{{and .e .n}}", ""},
    {"{{or .e .n}}", "42"},
    {"{{or .s .n}}", "Hello, World"},
    {"{{not .s}}", "false"},
    {"{{not .e}}", "true"},
    {"{{and .s}}", "Hello, World"},
    {"{{or .e}}", ""},
    {"{{or .s (index 1 2)}}", "Hello, World"},
    {"{{print 1 2 \"a\" \"b\" 3 4}}", "1 2ab3 4"},
    {"{{print}}", ""},
    {"{{println 1 \"a\"}}", "1 a\n"},
    {"{{print nil}}", "<nil>"},
    {"{{print 1.5 true}}", "1.5 true"},
    {"{{slice .s 1 3}}", "el"},
    {"{{slice .s 2}}", "llo, World"},
    {"{{slice .s}}", "Hello, World"},
    {"{{slice (fromJson .arr) 1}}", "[1 2]"},
    {"{{slice (fromJson .arr) 1 2}}", "[1]"},
    {"{{index (fromJson .arr) 0}}", "3"},
    {"{{index (fromJson .j) \"a\" \"b\" 0}}", "1"},
    {"{{index (fromJson .j) \"zz\"}}", "<no value>"},
    {"{{len (fromJson .j)}}", "4"},
    {"{{len (fromJson .arr)}}", "3"},
    {"{{.s | lower}}", "hello, world"},
    {"{{.s | upper}}", "HELLO, WORLD"},
    {"{{\"hello w\xc3\xb6rld foo-bar_baz x1y\" | title}}", "Hello W\xc3\xb6rld Foo-Bar_baz X1y"},
    {"{{regexReplaceAll \"(l+)\" .s \"<$1>\"}} {{regexReplaceAll \"(?P<x>o)\" .s \"${x}$x$$1$\"}} "
     "{{regexReplaceAllLiteral \"l\" .s \"$1\"}} {{regexReplaceAll \"x*\" \"abc\" \"-\"}} "
     "{{regexReplaceAll \"b*\" \"abbc\" \"-\"}} {{regexReplaceAll \"^\" \"abc\" \"x\"}} "
     "{{regexReplaceAll \"$\" \"abc\" \"x\"}} {{regexReplaceAll \"\" .uni \".\"}} "
     "{{regexReplaceAll \"(a)(z)?\" \"ab\" \"[$1|$2|$3]\"}} {{regexReplaceAll \"\\\\bo\" \"foo o\" "
     "\"X\"}} {{regexReplaceAll \"(.)\" \"ab\" \"$1x\"}} {{regexReplaceAll \"(.)\" \"ab\" "
     "\"${1}x\"}} {{regexReplaceAll \"(.)\" \"ab\" \"${1\"}}",
     "He<ll>o, Wor<l>d Helloo$1$, Woo$1$rld He$1$1o, Wor$1d -a-b-c- -a-c- xabc abcx "
     ".\xc3\x9c.F.T.8. .\xe4\xb8\x96.\xe7\x95\x8c. [a||]b foo X  axbx ${1${1"},
    {"{{add}}", "0"},
    {"{{addf}}", "0"},
    {"{{__line__}}", "the line"},
    {"{{if $x := .s}}{{$x}}{{else}}{{$x}}{{end}}", "Hello, World"},
    {"{{with .s}}{{with $.n}}{{.}}{{end}}{{.}}{{end}}", "42Hello, World"},
    {"{{ .s\t|\tupper }}", "HELLO, WORLD"},
    {"{{- \"x\" -}}   y   {{- \"z\" }}", "xyz"},
    {"{{\"x\"}}", "x"},
    {"{{\" \"}}", " "},
    {"{{\"\"}}", ""},
    {"plain }} text { {{\"{{\"}} }}", "plain }} text { {{ }}"},
    {"{{ if and (eq .n \"42\") (or (hasPrefix \"H\" .s) false) }}yes{{ end }}", "yes"},
    {"{{.bad}}", ""},
    {"{{.bad | upper}}", ""},
    {"{{len .bad}}", "0"},
    {"{{len (fromJson \"{\\\"a\\\":1,\\\"a\\\":2}\")}}", "1"},
    {"{{if not (eq .s \"x\")}}{{.s}}{{end}}{{if ne .s \"x\" }}1{{end}}", "Hello, World1"},
    {"{{1.0}}", "1"},
    {"{{100000.0}}", "100000"},
    {"{{1e6}}", "1e+06"},
    {"{{1e20}}", "1e+20"},
    {"{{1e21}}", "1e+21"},
    {"{{0.1}}", "0.1"},
    {"{{123456.789}}", "123456.789"},
    {"{{1e-5}}", "1e-05"},
    {"{{0.0001}}", "0.0001"},
    {"{{42 | eq 42}}", "true"},
    {"{{range $i, $c := (fromJson \"{\\\"b\\\":1,\\\"a\\\":2}\")}}{{$i}}{{$c}}{{end}}", "a2b1"},
    {"{{range $i, $c := .}}{{if eq $i \"n\"}}{{break}}{{end}}{{$i}}={{$c}} {{end}}",
     "arr=[3,1,2] e= f=3.75 html=<a href='x'>\"&</a> "
     "j={\"a\":{\"b\":[1,2,{\"c\":\"d\"}]},\"k\":\"v\",\"n\":null,\"t\":true} "},
    {"{{with fromJson .j}}{{.k}} {{.a.b}} {{index .a.b 0}}{{end}}", "v [1 2 map[c:d]] 1"},
    {"{{(.j | fromJson).k}}", "v"},
    /* newer than the rest: Go 1.22 and 1.23 */
    {"{{range 3}}{{.}}{{end}}", "012"},
    {"{{range $i := 2}}<{{$i}}>{{end}}", "<0><1>"},
    {"{{range 0}}x{{else}}none{{end}}", "none"},
    {"{{range $i := int .n}}{{if gt $i 3}}{{break}}{{end}}{{$i}}{{end}}", "0123"},
    {"{{with .e}}a{{else with .n}}{{.}}{{else}}b{{end}}", "42"},
    {"{{with .e}}a{{else with .missing}}{{.}}{{else}}b{{end}}", "b"},
};

static const struct tmpl_row FAILS[] = {
    {"{{.s.x}}",
     "template: line:1:4: executing \"line\" at <.s.x>: can't evaluate field x in type string"},
    {"{{.missing.x}}", "template: line:1:10: executing \"line\" at <.missing.x>: can't evaluate "
                       "field x in type string"},
    {"{{range .s}}x{{end}}",
     "template: line:1:8: executing \"line\" at <.s>: range can't iterate over Hello, World"},
    {"{{range 1.5}}x{{end}}",
     "template: line:1:8: executing \"line\" at <1.5>: range can't iterate over 1.5"},
    {"{{template \"nope\"}}", "template: line:1:11: executing \"line\" at <{{template \"nope\"}}>: "
                              "template \"nope\" not defined"},
    {"{{.s .n}}",
     "template: line:1:2: executing \"line\" at <.s>: s is not a method but has arguments"},
    {"{{\"a\" .n}}", "template: line:1:2: executing \"line\" at <\"a\">: can't give argument to "
                     "non-function \"a\""},
    {"{{1 | .s}}",
     "template: line:1:6: executing \"line\" at <.s>: s is not a method but has arguments"},
    {"{{nil}}", "template: line:1:2: executing \"line\" at <nil>: nil is not a command"},
    {"{{eq 1 1.0}}", "template: line:1:2: executing \"line\" at <eq 1 1.0>: error calling eq: "
                     "incompatible types for comparison"},
    {"{{eq 1 \"1\"}}", "template: line:1:2: executing \"line\" at <eq 1 \"1\">: error calling eq: "
                       "incompatible types for comparison"},
    {"{{eq 1}}", "template: line:1:2: executing \"line\" at <eq 1>: error calling eq: missing "
                 "argument for comparison"},
    {"{{eq . .}}", "template: line:1:2: executing \"line\" at <eq . .>: error calling eq: "
                   "non-comparable types map[string]string, map[string]string"},
    {"{{lt true false}}", "template: line:1:2: executing \"line\" at <lt true false>: error "
                          "calling lt: invalid type for comparison"},
    {"{{lt 1 \"a\"}}", "template: line:1:2: executing \"line\" at <lt 1 \"a\">: error calling lt: "
                       "incompatible types for comparison"},
    {"{{gt 1 \"a\"}}", "template: line:1:2: executing \"line\" at <gt 1 \"a\">: error calling gt: "
                       "incompatible types for comparison"},
    {"{{and}}", "template: line:1:2: executing \"line\" at <and>: wrong number of args for and: "
                "want at least 1 got 0"},
    {"{{and .s (index 1 2)}}", "template: line:1:10: executing \"line\" at <index 1 2>: error "
                               "calling index: can't index item of type int"},
    {"{{slice .s 5 2}}", "template: line:1:2: executing \"line\" at <slice .s 5 2>: error calling "
                         "slice: invalid slice index: 5 > 2"},
    {"{{slice .s 100}}", "template: line:1:2: executing \"line\" at <slice .s 100>: error calling "
                         "slice: index out of range: 100"},
    {"{{slice .s 1 2 3}}", "template: line:1:2: executing \"line\" at <slice .s 1 2 3>: error "
                           "calling slice: cannot 3-index slice a string"},
    {"{{slice . 1}}", "template: line:1:2: executing \"line\" at <slice . 1>: error calling slice: "
                      "can't slice item of type map[string]string"},
    {"{{slice .s \"a\"}}", "template: line:1:2: executing \"line\" at <slice .s \"a\">: error "
                           "calling slice: cannot index slice/array with type string"},
    {"{{index .s 100}}", "template: line:1:2: executing \"line\" at <index .s 100>: error calling "
                         "index: index out of range: 100"},
    {"{{index .s -1}}", "template: line:1:2: executing \"line\" at <index .s -1>: error calling "
                        "index: index out of range: -1"},
    {"{{index .s \"a\"}}", "template: line:1:2: executing \"line\" at <index .s \"a\">: error "
                           "calling index: cannot index slice/array with type string"},
    {"{{index (fromJson .j) 1}}", "template: line:1:2: executing \"line\" at <index (fromJson .j) "
                                  "1>: error calling index: value has type int; should be string"},
    {"{{index (fromJson .j) nil}}",
     "template: line:1:2: executing \"line\" at <index (fromJson .j) nil>: error calling index: "
     "value is nil; should be of type string"},
    {"{{index nil 1}}", "template: line:1:2: executing \"line\" at <index nil 1>: error calling "
                        "index: index of untyped nil"},
    {"{{index 1 1}}", "template: line:1:2: executing \"line\" at <index 1 1>: error calling index: "
                      "can't index item of type int"},
    {"{{index (fromJson .j) \"zz\" \"y\"}}",
     "template: line:1:2: executing \"line\" at <index (fromJson .j) \"zz\" \"y\">: error calling "
     "index: index of nil pointer"},
    {"{{len 1}}",
     "template: line:1:2: executing \"line\" at <len 1>: error calling len: len of type int"},
    {"{{len nil}}",
     "template: line:1:2: executing \"line\" at <len nil>: error calling len: len of nil pointer"},
    {"{{call .s}}", "template: line:1:2: executing \"line\" at <call .s>: error calling call: "
                    "non-function of type string"},
    {"{{call nil}}",
     "template: line:1:2: executing \"line\" at <call nil>: error calling call: call of nil"},
    {"{{upper}}", "template: line:1:2: executing \"line\" at <upper>: wrong number of args for "
                  "upper: want 1 got 0"},
    {"{{1 | upper}}", "template: line:1:6: executing \"line\" at <upper>: wrong type for value; "
                      "expected string; got int"},
    {"{{template \"x\" .s .n}}", "template: line:1:11: executing \"line\" at <{{template \"x\" .s "
                                 ".n}}>: template \"x\" not defined"},
    {"{{ne 1}}",
     "template: line:1:2: executing \"line\" at <ne>: wrong number of args for ne: want 2 got 1"},
    {"{{not}}",
     "template: line:1:2: executing \"line\" at <not>: wrong number of args for not: want 1 got 0"},
    {"{{$j := fromJson .j}}{{$j.k}}{{range $j.a.b}}[{{.}}]{{end}}{{$j.a.b.c}}",
     "template: line:1:63: executing \"line\" at <$j.a.b.c>: can't evaluate field c in type "
     "interface {}"},
    {"{{$j := fromJson .j}}{{$j.zz.yy}}", "template: line:1:25: executing \"line\" at <$j.zz.yy>: "
                                          "nil pointer evaluating interface {}.yy"},
    {"{{printf 1}}", "template: line:1:9: executing \"line\" at <1>: expected string; found 1"},
    {"{{(fromJson .j).a.b.c}}", "template: line:1:12: executing \"line\" at <.j>: can't evaluate "
                                "field c in type interface {}"},
    {"{{(fromJson .j).zz.y}}",
     "template: line:1:12: executing \"line\" at <.j>: nil pointer evaluating interface {}.y"},
    {"{{(fromJson .j).k.y}}", "template: line:1:12: executing \"line\" at <.j>: can't evaluate "
                              "field y in type interface {}"},
    {"{{(fromJson .j).k \"x\"}}",
     "template: line:1:12: executing \"line\" at <.j>: k is not a method but has arguments"},
    {"{{substr 5 2 .s}}", "template: line:1:2: executing \"line\" at <substr 5 2 .s>: error "
                          "calling substr: runtime error: slice bounds out of range [5:2]"},
    {"{{substr -1 100 .s}}",
     "template: line:1:2: executing \"line\" at <substr -1 100 .s>: error calling substr: runtime "
     "error: slice bounds out of range [:100] with length 12"},
    {"{{substr 100 200 .s}}",
     "template: line:1:2: executing \"line\" at <substr 100 200 .s>: error calling substr: runtime "
     "error: slice bounds out of range [100:12]"},
    {"{{trunc \"3\" .s}}",
     "template: line:1:8: executing \"line\" at <\"3\">: expected integer; found \"3\""},
    {"{{trunc .n .s}}", "template: line:1:8: executing \"line\" at <.n>: wrong type for value; "
                        "expected int; got string"},
    {"{{trunc (add 1 2) .s}}", "template: line:1:15: executing \"line\" at <2>: wrong type for "
                               "value; expected int; got int64"},
    {"{{trunc 1.5 .s}}",
     "template: line:1:8: executing \"line\" at <1.5>: expected integer; found 1.5"},
    {"{{repeat -1 \"x\"}}", "template: line:1:2: executing \"line\" at <repeat -1 \"x\">: error "
                            "calling repeat: strings: negative Repeat count"},
    {"{{urldecode \"%zz\"}}", "template: line:1:2: executing \"line\" at <urldecode \"%zz\">: "
                              "error calling urldecode: invalid URL escape \"%zz\""},
    {"{{urldecode \"%2\"}}", "template: line:1:2: executing \"line\" at <urldecode \"%2\">: error "
                             "calling urldecode: invalid URL escape \"%2\""},
    {"{{div 1 0}}", "template: line:1:2: executing \"line\" at <div 1 0>: error calling div: "
                    "runtime error: integer divide by zero"},
    {"{{mod 1 0}}", "template: line:1:2: executing \"line\" at <mod 1 0>: error calling mod: "
                    "runtime error: integer divide by zero"},
    {"{{divf 1 0}}", "template: line:1:2: executing \"line\" at <divf 1 0>: error calling divf: "
                     "decimal division by 0"},
    {"{{bytes .b}}", "template: line:1:2: executing \"line\" at <bytes .b>: error calling bytes: "
                     "strconv.ParseFloat: parsing \"\": invalid syntax"},
    {"{{bytes \"x\"}}", "template: line:1:2: executing \"line\" at <bytes \"x\">: error calling "
                        "bytes: strconv.ParseFloat: parsing \"\": invalid syntax"},
    {"{{bytes \"3 zorks\"}}", "template: line:1:2: executing \"line\" at <bytes \"3 zorks\">: "
                              "error calling bytes: unhandled size name: zorks"},
    {"{{bytes 5}}", "template: line:1:8: executing \"line\" at <5>: expected string; found 5"},
    {"{{duration .d}}", "template: line:1:2: executing \"line\" at <duration .d>: error calling "
                        "duration: time: invalid duration \"\""},
    {"{{duration \"1\"}}", "template: line:1:2: executing \"line\" at <duration \"1\">: error "
                           "calling duration: time: missing unit in duration \"1\""},
    {"{{duration \"x\"}}", "template: line:1:2: executing \"line\" at <duration \"x\">: error "
                           "calling duration: time: invalid duration \"x\""},
    {"{{duration \"1fortnight\"}}",
     "template: line:1:2: executing \"line\" at <duration \"1fortnight\">: error calling duration: "
     "time: unknown unit \"fortnight\" in duration \"1fortnight\""},
    {"{{upper .s .n}}", "template: line:1:2: executing \"line\" at <upper>: wrong number of args "
                        "for upper: want 1 got 2"},
    {"{{upper 1}}", "template: line:1:8: executing \"line\" at <1>: expected string; found 1"},
    {"{{upper nil}}",
     "template: line:1:8: executing \"line\" at <nil>: cannot assign nil to string"},
    {"{{nil | upper}}", "template: line:1:2: executing \"line\" at <nil>: nil is not a command"},
    {"{{upper (fromJson .j).zz}}", "template: line:1:18: executing \"line\" at <.j>: wrong type "
                                   "for value; expected string; got interface {}"},
    {"{{\"abc\" | index 1}}", "template: line:1:10: executing \"line\" at <index 1>: error calling "
                              "index: can't index item of type int"},
    {"{{unixToTime .ts}}",
     "template: line:1:2: executing \"line\" at <unixToTime .ts>: error calling unixToTime: unable "
     "to parse time '': strconv.ParseInt: parsing \"\": invalid syntax"},
    {"{{unixToTime \"123\"}}", "template: line:1:2: executing \"line\" at <unixToTime \"123\">: "
                               "error calling unixToTime: unable to parse time '123'"},
    {"{{unixToTime \"abc\"}}",
     "template: line:1:2: executing \"line\" at <unixToTime \"abc\">: error calling unixToTime: "
     "unable to parse time 'abc': strconv.ParseInt: parsing \"abc\": invalid syntax"},
    {"{{unixEpoch .s}}", "template: line:1:12: executing \"line\" at <.s>: wrong type for value; "
                         "expected time.Time; got string"},
    {"{{unixEpoch}}", "template: line:1:2: executing \"line\" at <unixEpoch>: wrong number of args "
                      "for unixEpoch: want 1 got 0"},
    {"{{__timestamp__.Nope}}", "template: line:1:2: executing \"line\" at <__timestamp__>: can't "
                               "evaluate field Nope in type time.Time"},
    {"{{__timestamp__.Format}}", "template: line:1:2: executing \"line\" at <__timestamp__>: wrong "
                                 "number of args for Format: want 1 got 0"},
    {"{{__timestamp__.Year 1}}", "template: line:1:2: executing \"line\" at <__timestamp__>: wrong "
                                 "number of args for Year: want 0 got 1"},
    {"{{__timestamp__.Add \"x\"}}", "template: line:1:20: executing \"line\" at <\"x\">: expected "
                                    "integer; found \"x\""},
    {"{{__timestamp__.Add (mul 2 3)}}", "template: line:1:27: executing \"line\" at <3>: wrong "
                                        "type for value; expected time.Duration; got int64"},
    {"{{\"2006\" | date}}", "template: line:1:11: executing \"line\" at <date>: wrong number of "
                            "args for date: want 2 got 1"},
};

static const struct tmpl_row REFUSED[] = {
    {"{{$x}}", "template: line:1: undefined variable \"$x\""},
    {"{{break}}", "template: line:1: {{break}} outside {{range}}"},
    {"{{range .}}{{end}}{{continue}}", "template: line:1: {{continue}} outside {{range}}"},
    {"{{/* c }}", "template: line:1: unclosed comment"},
    {"{{/* c */ }}", "template: line:1: comment ends before closing delimiter"},
    {"{{\"bad \\q\"}}", "template: line:1: invalid syntax"},
    {"{{99999999999999999999}}", "template: line:1: integer overflow: \"99999999999999999999\""},
    {"{{3x}}", "template: line:1: bad number syntax: \"3x\""},
    {"{{| .s}}", "template: line:1: unexpected \"|\" in command"},
    {"{{.s | \"x\"}}", "template: line:1: non executable command in pipeline stage 2"},
    {"{{if}}x{{end}}", "template: line:1: missing value for if"},
    {"{{if .s}}x", "template: line:1: unexpected EOF"},
    {"{{if .s}}x{{else}}y{{else}}z{{end}}", "template: line:1: expected end; found {{else}}"},
    {"{{end}}", "template: line:1: unexpected {{end}}"},
    {"{{else}}", "template: line:1: unexpected {{else}}"},
    {"{{.s.}}", "template: line:1: unexpected <.> in operand"},
    {"{{..s}}", "template: line:1: unexpected . after term \".\""},
    {"{{.s..n}}", "template: line:1: unexpected <.> in operand"},
    {"{{true.x}}", "template: line:1: unexpected . after term \"true\""},
    {"{{or .e (nosuch)}}", "template: line:1: function \"nosuch\" not defined"},
    {"{{with $x := 1}}{{$x}}{{end}}{{$x}}", "template: line:1: undefined variable \"$x\""},
    {"{{range $i, $e, $f := .}}{{end}}", "template: line:1: too many declarations in range"},
    {"{{$a, $b := 1}}", "template: line:1: too many declarations in command"},
    {"{{range $i, 1 := .}}{{end}}", "template: line:1: range can only initialize variables"},
    {"{{define \"x\"}}{{$q}}{{end}}", "template: line:1: undefined variable \"$q\""},
    {"{{define x}}{{end}}", "template: line:1: unexpected \"x\" in define clause"},
    {"{{define \"x\"}}1{{end}}{{define \"x\"}}2{{end}}",
     "template: line:1: template: multiple definition of template \"x\""},
    {"{{define \"x\"}}1", "template: line:1: unexpected EOF"},
    {"{{if true}}{{define \"x\"}}{{end}}{{end}}",
     "template: line:1: unexpected <define> in command"},
    {"{{template .s}}", "template: line:1: unexpected \".s\" in template clause"},
    {"{{(.s}}", "template: line:1: unclosed left paren"},
    {"{{.s)}}", "template: line:1: unexpected \")\" in command"},
    {"{{)}}", "template: line:1: unexpected \")\" in command"},
    {"{{.s,.n}}", "template: line:1: unexpected \",\" in operand"},
    {"{{.s!}}", "template: line:1: bad character U+0021 '!'"},
    {"{{#}}", "template: line:1: unexpected \"#\" in command"},
    {"{{.a-b}}", "template: line:1: bad character U+002D '-'"},
    {"{{.1a}}", "template: line:1: bad number syntax: \".1a\""},
    {"{{$1}}", "template: line:1: undefined variable \"$1\""},
    {"{{nosuch .s}}", "template: line:1: function \"nosuch\" not defined"},
};

static void templates_make_what_go_makes(void **state)
{
    (void)state;
    TMPL_CHECK(LANGUAGE, 0);
}

static void a_failure_names_its_place(void **state)
{
    (void)state;
    TMPL_CHECK(FAILS, 1);
}

static void what_does_not_parse_is_refused(void **state)
{
    (void)state;
    TMPL_CHECK(REFUSED, ERR_INVALID);
}

/* ---- bounds ---- */

/* Repeat `part` n times between `before` and `after`, and see that it ends as `want` says. */
static void check_repeated(const char *before, const char *part, size_t n, const char *after,
                           const char *want)
{
    struct tmpl_run *run = tmpl_run_new();
    struct arena *a = arena_new(NULL, 0);
    struct buf text;
    struct str got;
    int r;

    buf_init(&text, 1 << 20);
    buf_add_z(&text, before);
    for (size_t i = 0; i < n; i++)
        buf_add_z(&text, part);
    buf_add_z(&text, after);
    got = tmpl_run_text(run, buf_str(&text), a, &r);
    if (r == 0 || str_find(got, str_of(want)) == SIZE_MAX)
        fail_msg("%s %s ... %s: %d '%.*s' does not say '%s'", before, part, after, r, STR_ARG(got),
                 want);
    buf_fini(&text);
    arena_free(&a);
    tmpl_run_free(&run);
}

static void hostile_templates_end(void **state)
{
    (void)state;
    check_repeated("{{", "(", 5000, "", "nested deeper than 200 levels");
    check_repeated("", "{{if 1}}", 5000, "", "nested deeper than 200 levels");
    check_repeated("{{if 1}}", "{{else if 1}}", 5000, "{{end}}", "nested deeper than 200 levels");
    check_repeated("", "{{$x := 1}}", 300, "", "more than 256 variables");
    check_repeated("{{range 1000000000}}", "{{end}}", 1, "", "more than 131072 steps");
    check_repeated("{{range 1000000}}{{range 1000000}}", "x{{end}}{{end}}", 1, "", "steps");
    check_repeated("{{range 100000}}", "{{repeat 1000 \"x\"}}{{end}}", 1, "",
                   "more than 1048576 bytes");
    check_repeated("{{.s.", "x", 20000, "}}", "too long to be told");
    check_repeated("{{define \"a\"}}", "{{template \"a\"}}", 1, "{{end}}{{template \"a\"}}",
                   "template depth (200)");
    check_repeated("{{range 1000}}", "{{$x := repeat 100000 \"x\"}}{{end}}", 1, "",
                   "more than 33554432 bytes");
    check_repeated("{{repeat 1000000000000 \"x\"}}", "", 0, "", "more than 1048576 bytes");
    check_repeated("{{indent 9000000000000000000 .s}}", "", 0, "", "more than 1048576 bytes");
    check_repeated("{{printf \"%999999d%999999d\" 1 1}}", "", 0, "", "more than 1048576 bytes");
    check_repeated("{{range $i := 100000}}", "{{count (print $i) $.s}}{{end}}", 1, "", "steps");
    check_repeated("{{regexReplaceAll \"x\" \"x\" (repeat 1000000 \"y\") | ",
                   "replace \"y\" \"yy\"", 1, "}}", "more than 1048576 bytes");
}

static void there_are_at_most_64_named_templates(void **state)
{
    struct tmpl_run *run = tmpl_run_new();
    struct arena *a = arena_new(NULL, 0);
    struct buf text;
    struct str got;
    int r;

    (void)state;
    buf_init(&text, 1 << 16);
    for (int i = 0; i < 64; i++)
        buf_addf(&text, "{{define \"t%d\"}}%d{{end}}", i, i);
    buf_add_z(&text, "{{template \"t63\"}}");
    got = tmpl_run_text(run, buf_str(&text), a, &r);
    check_str(got, "63");
    buf_add_z(&text, "{{define \"x\"}}{{end}}");
    got = tmpl_run_text(run, buf_str(&text), a, &r);
    check_str(got, "template: line:1: more than 64 templates");
    buf_fini(&text);
    arena_free(&a);
    tmpl_run_free(&run);
}

static void an_arena_that_is_full_is_no_failure_of_the_template(void **state)
{
    static const struct tmpl_env env = {.name = "line", .funcs = tmpl_logql_funcs};
    struct tmpl_run *run = tmpl_run_new();
    struct arena *tree = arena_new(NULL, 0);
    struct arena *small = arena_new(NULL, 1 << 16);
    struct tmpl_input in = {.dot = {.kind = TMPL_NONE}, .arena = small};
    const struct tmpl *t = NULL;
    struct str out;
    struct err err;

    (void)state;
    assert_int_equal(tmpl_compile(STR("{{repeat 100000 `x` | upper}}"), &env, tree, &t, NULL, &err),
                     0);
    assert_int_equal(tmpl_execute(run, t, &in, &out, &err), ERR_LIMIT);
    arena_reset(small);
    assert_int_equal(tmpl_compile(STR("ok"), &env, tree, &t, NULL, &err), 0);
    assert_int_equal(tmpl_execute(run, t, &in, &out, &err), 0);
    check_str(out, "ok");
    arena_free(&small);
    arena_free(&tree);
    tmpl_run_free(&run);
}

static void functions_are_sorted(void **state)
{
    (void)state;
    for (const struct tmpl_func *f = tmpl_logql_funcs; f[1].name != NULL; f++)
        assert_true(strcmp(f[0].name, f[1].name) < 0);
}

static void variables_of_the_environment_come_with_the_input(void **state)
{
    static const char *const vars[] = {"value", "labels", NULL};
    static const struct tmpl_env env = {.name = "text", .funcs = tmpl_logql_funcs, .vars = vars};
    struct tmpl_run *run = tmpl_run_new();
    struct arena *a = arena_new(NULL, 0);
    struct tmpl_value values[] = {tmpl_of_float(1.5), tmpl_of_str(STR("x"))};
    struct tmpl_input in = {.dot = {.kind = TMPL_NONE}, .vars = values, .arena = a};
    const struct tmpl *t = NULL;
    struct str out;
    size_t offset = 0;
    struct err err;

    (void)state;
    assert_int_equal(
        tmpl_compile(STR("{{$value}}{{$labels}}{{$x := 1}}{{$x}}"), &env, a, &t, NULL, &err), 0);
    assert_int_equal(tmpl_execute(run, t, &in, &out, &err), 0);
    check_str(out, "1.5x1");
    assert_true(tmpl_uses(t, STR("value"), STR("Value")));
    assert_int_equal(tmpl_compile(STR("{{define `a`}}{{.Value}}{{end}}"), &env, a, &t, NULL, &err),
                     0);
    assert_true(tmpl_uses(t, STR("value"), STR("Value")));
    assert_int_equal(tmpl_compile(STR("{{$labels}}{{.Other}}"), &env, a, &t, NULL, &err), 0);
    assert_false(tmpl_uses(t, STR("value"), STR("Value")));
    assert_int_equal(tmpl_compile(STR("ab {{$nope}}"), &env, a, &t, &offset, &err), ERR_INVALID);
    assert_int_equal(offset, 5);
    arena_free(&a);
    tmpl_run_free(&run);
}

CHECK_MAIN(cmocka_unit_test(templates_make_what_go_makes),
           cmocka_unit_test(a_failure_names_its_place),
           cmocka_unit_test(what_does_not_parse_is_refused),
           cmocka_unit_test(hostile_templates_end),
           cmocka_unit_test(there_are_at_most_64_named_templates),
           cmocka_unit_test(an_arena_that_is_full_is_no_failure_of_the_template),
           cmocka_unit_test(functions_are_sorted),
           cmocka_unit_test(variables_of_the_environment_come_with_the_input))
