# The warning set of docs/style.md.  Warnings are errors unless LOGQ_WERROR is off (preset fuzz).
add_library(logq_warnings INTERFACE)
set(warn_all -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wpointer-arith -Wcast-qual
    -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wnull-dereference -Wswitch-enum -Wdouble-promotion)
set(warn_c -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition)
set(warn_gcc -Wcast-align=strict -Wformat-signedness -Wimplicit-fallthrough=5 -Wduplicated-cond
    -Wduplicated-branches -Wlogical-op)
set(warn_gcc_c -Wjump-misses-init)
target_compile_options(logq_warnings INTERFACE ${warn_all} $<$<COMPILE_LANGUAGE:C>:${warn_c}>)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  target_compile_options(logq_warnings INTERFACE ${warn_gcc} $<$<COMPILE_LANGUAGE:C>:${warn_gcc_c}>)
endif()
if(LOGQ_WERROR)
  target_compile_options(logq_warnings INTERFACE -Werror)
endif()
