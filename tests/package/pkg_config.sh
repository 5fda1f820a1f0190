#!/bin/sh
# pkg_config.sh PREFIX DIRECTORY CC: builds the consumer without CMake, against the shared and the static library.
set -eu
prefix=$1 directory=$2 cc=$3
here=$(cd "$(dirname "$0")" && pwd)
command -v pkg-config >/dev/null || { echo "there is no pkg-config here"; exit 77; }
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name ringkernel.pc)")
export PKG_CONFIG_PATH

rm -rf "$directory"
mkdir -p "$directory"
cp -R "$here/consumer" "$directory/source"
cd "$directory/source"

"$(pkg-config --variable=rkc ringkernel)" squarer.rk.h -I settings -D SCALE=1 --module squares -o squares_module.c
# Words of flags are meant to be split.
# shellcheck disable=SC2046
for library in ringkernel ringkernel-static; do
    "$cc" -std=c11 -Wall -Wextra -Wpedantic -Werror -I settings -I . -D SCALE=1 main.c squares_module.c -o "$library" \
        $(pkg-config --cflags --libs "$library")
    LD_LIBRARY_PATH=$(pkg-config --variable=libdir "$library") "./$library"
done
readelf -d ringkernel | grep -q 'NEEDED.*libringkernel.so.0'
! readelf -d ringkernel-static | grep -q 'NEEDED.*libringkernel'
