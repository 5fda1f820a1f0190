# market_data.sh PROGRAM: its figures are those of a calculation apart, for several lengths.
set -eu
calculate() {
    awk -v quotes="$1" 'BEGIN {
        name[0] = "quote/metal/copper"; name[1] = "quote/metal/zinc"; name[2] = "quote/grain/wheat"
        cents[0] = 90000; cents[1] = 25000; cents[2] = 60000
        random = 20
        for (number = 1; number <= quotes; number++)
            for (i = 0; i < 3; i++) {
                random = (random * 1664525 + 1013904223) % 4294967296
                c = cents[i]
                c = c - int(c / 100) + int(random / 65536) % (int(c / 50) + 1)
                price = c * 16
                before = number == 1 ? price : average[i]
                limit = before + int(before / 50)
                if (price > limit && last[i] * 16 <= limit) {
                    if (shown++ < 5)
                        signals = signals sprintf("signal at quote %d: %s is at %d, above its average of %d\n", number,
                                                  name[i], c, int(before / 16))
                    made[i]++
                }
                average[i] = before + int(price / 32) - int(before / 32)
                cents[i] = last[i] = c
            }
        for (i = 0; i < 3; i++) printf "screen: %s is at %d, quote %d\n", name[i], last[i], quotes
        printf "screen: 3 quotes shown, %d passed by\n", 3 * quotes - 3
        for (i = 0; i < 3; i++)
            printf "%s: %d quotes, the last %d, average %d, %d signals\n", name[i], quotes, last[i], int(average[i] / 16), made[i]
        printf "quote/metal/*: %d quotes\n", 2 * quotes
        printf "%s", signals
        printf "latecomer: %s is at %d, quote %d\n", name[2], last[2], quotes
    }'
}
for quotes in 1 10 500 1000; do
    output=$("$1" --backend cpu --quotes $quotes)
    echo "$output"
    test "$output" = "$(calculate $quotes)"
done
