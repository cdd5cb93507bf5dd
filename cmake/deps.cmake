# Third-party libraries (xxHash as a header only), every one a Debian 12 package (scripts/packages build).  Each has one home: see
# tests/lint/check_floors.py.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
foreach(dep UV:libuv SSL:libssl CRYPTO:libcrypto ZSTD:libzstd ZLIB:zlib SQLITE:sqlite3 MSGPACK:msgpack YAML:yaml-0.1
            RE2:re2 XXHASH:libxxhash JANSSON:jansson CURL:libcurl SNAPPY:snappy)
  string(REPLACE ":" ";" pair ${dep})
  list(GET pair 0 var)
  list(GET pair 1 module)
  pkg_check_modules(${var} REQUIRED IMPORTED_TARGET ${module})
endforeach()
pkg_check_modules(SYSTEMD IMPORTED_TARGET libsystemd) # for a module of the collector; without it there is none
find_package(wslay CONFIG REQUIRED) # has no pkg-config file

# llhttp comes as sources (package node-llhttp).  Strict mode is what refuses "Host : a"; a unit test
# feeds exactly that, so that a build without the macro cannot pass.
set(LLHTTP_SRC /usr/share/llhttp CACHE PATH "llhttp C sources")
set(LLHTTP_INC /usr/share/include CACHE PATH "folder that holds llhttp/llhttp.h")
add_library(llhttp STATIC ${LLHTTP_SRC}/api.c ${LLHTTP_SRC}/http.c ${LLHTTP_SRC}/llhttp.c)
target_compile_options(llhttp PRIVATE -w)
target_compile_definitions(llhttp PRIVATE LLHTTP_STRICT_MODE=1)
target_include_directories(llhttp SYSTEM PUBLIC ${LLHTTP_INC} ${LLHTTP_INC}/llhttp)
