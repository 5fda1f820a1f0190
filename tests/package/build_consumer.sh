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
    "$CMAKE" --build "$directory/build"
    for program in consumer consumer_shared consumer_static; do
        echo "running $program"
        "$directory/bin/$program" "$1"
    done
}

# The empty expression keeps generators of many configurations from adding a directory for each.
"$CMAKE" -S "$directory/source" -B "$directory/build" "-DCMAKE_RUNTIME_OUTPUT_DIRECTORY=$directory/bin/\$<1:>" "$@"
build_and_run 0
# Whatever the resolution of the file system's clock, the file gets newer than what was built from it.
bonus=$directory/source/settings/bonus.h
newer() { [ -n "$(find "$1" -newer "$2")" ]; }
until newer "$bonus" "$directory/bin/consumer"; do
    echo '#define BONUS 7' >"$bonus"
done
build_and_run 7
if newer "$bonus" "$directory/build/consumer_actors/squares_module.c"; then
    echo "the module was not made again, though a file that it includes has changed"
    exit 1
fi

needs() { readelf -d "$directory/bin/$1" | grep -q 'NEEDED.*libringkernel.so.0'; }
needs consumer_shared || { echo "consumer_shared does not use libringkernel.so.0"; exit 1; }
! needs consumer_static || { echo "consumer_static uses libringkernel.so.0"; exit 1; }
