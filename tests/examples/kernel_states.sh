# kernel_states.sh PROGRAM EXPECTED: the program's transitions are those that the header promises, at every run.
set -eu
for run in 1 2 3 4 5; do
    output=$("$1" --backend cpu)
    echo "$output" | diff -u "$2" -
done
