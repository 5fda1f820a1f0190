# heat_plate.sh PROGRAM: whoever shares the work, the answer is the known one.
set -eu
for arguments in '--actors 1' '--actors 4' '--actors 7 --size 33' '--size 3 --actors 64'; do
    # shellcheck disable=SC2086
    output=$("$1" --backend cpu $arguments)
    echo "$output"
    echo "$output" | grep -q '^[0-9]* x [0-9]* points settled after [1-9][0-9]* steps$'
    echo "$output" | grep -q '^in the middle: [45][0-9]\.[0-9] degrees; nowhere more than 0\.0[0-9] from the known answer$'
done
# Steps do not depend on who makes them.
test "$("$1" --backend cpu --actors 1)" = "$("$1" --backend cpu --actors 5)"
