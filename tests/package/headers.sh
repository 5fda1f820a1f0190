#!/bin/sh
# headers.sh INCLUDE_DIRECTORY CC...: every public header compiles alone and included twice, without a warning.
set -eu
include=$1
shift
fail=0

check() { # compiler, language, standard, header
    echo "$1 -std=$3 <$4>"
    "$1" -x "$2" "-std=$3" -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I "$include" -include "$4" -include "$4" \
        /dev/null || fail=1
}

for cc in "$@"; do
    cxx=yes
    if ! echo '#include <memory>' | "$cc" -x c++ -fsyntax-only - 2>/dev/null; then
        echo "$cc comes without C++: not checked"
        cxx=
    fi
    for header in ringkernel.h ringkernel/module.h ringkernel/actor.h; do
        for standard in c99 c11 c17; do
            check "$cc" c "$standard" "$header"
        done
        for standard in ${cxx:+c++14 c++17}; do
            check "$cc" c++ "$standard" "$header"
        done
    done
    if [ -n "$cxx" ]; then
        check "$cc" c++ c++17 ringkernel.hpp
    fi
done
exit $fail
