# as_on_cpu.sh BACKEND PROGRAM ARGUMENT...: says the same there as on the CPU, in whatever order, but for its memory and the
# backend's name; how far a worker got before it was stopped is nobody's promise either.
set -u
backend=$1
shift
directory=$(mktemp -d)
trap 'rm -r "$directory"' EXIT
say() { sed -e 's/, at most [0-9]* waiting, [0-9]* bytes of memory, on [a-z]*//' "$directory/$1" | sort >"$directory/$1.sorted"; }

"$@" --backend cpu >"$directory/cpu" 2>"$directory/error" || { cat "$directory/error"; exit 1; }
"$@" --backend "$backend" >"$directory/device" 2>"$directory/error"
status=$?
if grep -q 'RK_ERROR_NO_DEVICE' "$directory/error"; then
    echo "skipped: $(cat "$directory/error")"
    exit 77
fi
[ $status = 0 ] || { cat "$directory/error"; exit 1; }
say cpu
say device
diff -u "$directory/cpu.sorted" "$directory/device.sorted"
