# hello_actor.sh PROGRAM: the sums and statistics for several numbers of messages.
set -eu
for count in 1 7 100 1000; do
    output=$("$1" --backend cpu --messages $count)
    echo "$output"
    sum=$((count * (count + 1) / 2))
    handled=$((2 * count + 2))
    # What the last line says of memory and the deepest queue differs from run to run.
    test "$(echo "$output" | head -n 4)" = "\
active:    sent 1 to $count, the sum is $sum
suspended: sent them again, $count are waiting
resumed:   $((2 * count)) additions, the sum is $((2 * sum))
drained:   accepted $handled = handled $handled + dead letters 0 + pending 0"
    echo "$output" | grep -q '^           2 replies, at most [1-9][0-9]* waiting, [1-9][0-9]* bytes of memory, on cpu$'
done
if "$1" --messages 1001 2>/dev/null; then
    echo 'too many messages were not refused'
    exit 1
fi
