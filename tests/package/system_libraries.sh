#!/bin/sh
# system_libraries.sh FLAG...: the flags that ringkernel::static links are those that rustc names.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

echo 'pub fn nothing() {}' >"$scratch/nothing.rs"
rustc --crate-type staticlib --print native-static-libs --out-dir "$scratch" "$scratch/nothing.rs" 2>"$scratch/notes"
named=$(sed -n 's/^note: native-static-libs: //p' "$scratch/notes")
# The compiler driver adds the C library by itself.
[ "$named" = "$* -lc" ] || { echo "rustc names: $named"; echo "we link:     $*"; exit 1; }
