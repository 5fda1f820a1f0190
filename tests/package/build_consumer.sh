#!/bin/sh
# build_consumer.sh DIRECTORY CMAKE_ARGUMENT...: copies the consumer there, builds and runs its three programs, then
# changes a file that its actors include and sees that the programs change with it.
set -eu
here=$(dirname "$0")
directory=$1
shift

rm -rf "$directory"
mkdir -p "$directory"
cp -R "$here/consumer" "$directory/source"

build_and_run() {
    cmake --build "$directory/build"
    for program in consumer consumer_shared consumer_static; do
        echo "running $program"
        "$directory/build/$program" "$1"
    done
}

cmake -S "$directory/source" -B "$directory/build" "$@"
build_and_run 0
# Whatever the resolution of the file system's clock, the file gets newer than what was built from it.
until [ "$directory/source/settings/bonus.h" -nt "$directory/build/consumer" ]; do
    echo '#define BONUS 7' >"$directory/source/settings/bonus.h"
done
build_and_run 7

needs() { readelf -d "$directory/build/$1" | grep -q 'NEEDED.*libringkernel.so.0'; }
needs consumer_shared || { echo "consumer_shared does not use libringkernel.so.0"; exit 1; }
! needs consumer_static || { echo "consumer_static uses libringkernel.so.0"; exit 1; }
