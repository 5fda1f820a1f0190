#!/bin/sh
# install_and_move.sh BUILD_DIRECTORY CONFIG DIRECTORY: installs to DIRECTORY/first, moves it to DIRECTORY/moved and
# checks that nothing there remembers the first place or the source tree.
set -eu
build=$1 config=$2 directory=$3
source=$(cd "$(dirname "$0")/../.." && pwd)

rm -rf "$directory"
mkdir -p "$directory"
"$CMAKE" --install "$build" --config "$config" --prefix "$directory/first"
mv "$directory/first" "$directory/moved"
if grep -rlIF -e "$directory" -e "$source" -e "$build" "$directory/moved"; then
    echo "these files name a place that may be gone"
    exit 1
fi
