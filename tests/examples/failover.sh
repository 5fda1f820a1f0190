# failover.sh PROGRAM: what happens when, and the means, are those of a calculation apart.
set -eu
calculate() {
    awk 'BEGIN {
        random = 1
        lives = 2 # of the loose channel: it may be started again so often
        for (number = 0; number < 40; number++)
            for (c = 0; c < 3; c++) {
                random = (random * 1664525 + 1013904223) % 4294967296
                if (c == 1 && number % 9 == 8) {
                    failed++
                    count[c] = sum[c] = 0
                    if (lives > 0) {
                        lives--; again++
                        printf "reading %d of channel 1: bad (code 7), its actor starts again\n", number
                    } else {
                        lives = 2
                        printf "reading %d of channel 1: bad once too often, a spare actor takes over\n", number
                    }
                    continue
                }
                count[c]++
                sum[c] += 1000 * (c + 1) + int(random / 65536) % 100
            }
        for (c = 0; c < 3; c++) printf "channel %d: mean %d of the last %d readings\n", c, int(sum[c] / count[c]), count[c]
        printf "%d handlers failed, %d actors started again\n", failed, again
    }'
}
expected=$(calculate)
actual=$("$1" --backend cpu)
if [ "$expected" != "$actual" ]; then
    printf 'expected:\n%s\ngot:\n%s\n' "$expected" "$actual"
    exit 1
fi
