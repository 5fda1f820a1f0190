# batch_processor.sh PROGRAM REFERENCE RECORDS: rejections and table are those of a plain C program, for the file that
# comes with the example and for one that was spoilt at random, with rings of several sizes.
set -eu
directory=$(mktemp -d)
trap 'rm -r "$directory"' EXIT

compare() { # records stations ring
    "$reference" "$1" "$2" >"$directory/expected"
    "$program" --backend cpu --stations "$2" --ring "$3" "$1" >"$directory/output" 2>"$directory/statistics"
    diff -u "$directory/expected" "$directory/output"
    cat "$directory/statistics"
}

program=$1
reference=$2
records=$3
compare "$records" 12 4
if grep -q 'the first ring was full 0 times' "$directory/statistics"; then
    echo 'rings of 4 never filled: this does not test back-pressure'
    exit 1
fi
grep -q '^ *1  *36[0-6] ' "$directory/output" # an empty table would equal an empty one
compare "$records" 12 1024
compare "$records" 5 16
compare "$records" 64 8

seed=$(date +%s)
echo "spoilt with seed $seed"
awk -v seed="$seed" '
BEGIN { srand(seed); letters = "0123456789.,-x \"" }
{
    luck = rand()
    if (luck < 0.1) {
        at = 1 + int(rand() * length($0))
        $0 = substr($0, 1, at - 1) substr(letters, 1 + int(rand() * length(letters)), 1) substr($0, at + 1)
    } else if (luck < 0.15) $0 = substr($0, 1, int(rand() * length($0)))
    else if (luck < 0.16) $0 = $0 $0 $0
    else if (luck < 0.17) $0 = ""
    else if (luck < 0.20) $0 = $0 "\r"
    print
}' "$records" >"$directory/spoilt.csv"
compare "$directory/spoilt.csv" 12 4

printf 'station,date,tmin,tmax,rain' >"$directory/empty.csv"
compare "$directory/empty.csv" 12 4
