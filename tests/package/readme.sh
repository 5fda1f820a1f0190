#!/bin/sh
# readme.sh README DIRECTORY CMAKE_ARGUMENT...: builds and runs the program in the README, from the README.
set -eu
readme=$1 directory=$2
shift 2

rm -rf "$directory"
mkdir -p "$directory"
# A fenced block belongs to the file that the last line before it names in backquotes.
awk -v directory="$directory" '
    /^```/ { if (file) { close(file); file = "" } else if (name) { file = directory "/" name; name = "" } else skip = !skip; next }
    file { print > file; next }
    match($0, /`[A-Za-z.]+`:$/) { name = substr($0, RSTART + 1, RLENGTH - 3) }
' "$readme"
"$CMAKE" -S "$directory" -B "$directory/build" "$@"
"$CMAKE" --build "$directory/build"
said=$("$directory/build/counting")
echo "it says: $said"
[ "$said" = "total 42" ]

# With the file of options, which is read: a name that is not known is refused.
said=$(RINGKERNEL_CONFIG="$directory/options.toml" "$directory/build/counting")
[ "$said" = "total 42" ]
sed 's/cpu_threads/cpu_treads/' "$directory/options.toml" >"$directory/wrong.toml"
if RINGKERNEL_CONFIG="$directory/wrong.toml" "$directory/build/counting"; then
    echo "a name that is not known was taken"
    exit 1
fi
