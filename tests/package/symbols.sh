#!/bin/sh
# symbols.sh LIBRARY HEADER: the shared library exports what the header declares, versioned, and nothing else; it has
# its SONAME, stays loaded, and runs nothing of ours when it is loaded or unloaded.
set -eu
library=$1 header=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() { echo "$*"; exit 1; }

nm -D --defined-only "$library" | sed -n 's/.* [^A] //p' | sort >"$scratch/exported"
sed -n '/^extern "C" {/,$ s/^[a-z].*[ *]\(rk_[a-z_]*\)(.*/\1@@RINGKERNEL_0/p' "$header" | sort >"$scratch/declared"
[ "$(wc -l <"$scratch/declared")" -gt 30 ] || fail "the header was not understood"
diff "$scratch/declared" "$scratch/exported" || fail "declared (<) and exported (>) symbols differ"

readelf -d "$library" >"$scratch/dynamic"
grep -q 'SONAME.*\[libringkernel\.so\.0\]' "$scratch/dynamic" || fail "wrong SONAME"
grep -q 'FLAGS_1.*NODELETE' "$scratch/dynamic" || fail "the library could be unloaded"

# Left are the C compiler's own entries and one of Rust's standard library, which notes argc and argv for std::env.
nm "$library" | grep -E '(__init_array|__fini_array|_ARRAY|_init_array_entry|_fini_array_entry)' >"$scratch/arrays" || true
size_of() { readelf -SW "$library" | sed -n "s/.* \.$1 *[A-Z_]* *[0-9a-f]* [0-9a-f]* \([0-9a-f]*\) .*/\1/p"; }
[ "$((0x$(size_of init_array)))" -le 16 ] || fail "a constructor: $(cat "$scratch/arrays")"
[ "$((0x$(size_of fini_array)))" -le 8 ] || fail "a destructor: $(cat "$scratch/arrays")"
