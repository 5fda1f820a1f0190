# checkpoint.sh PROGRAM [BACKEND]: interrupted and continued, in three processes, it says what it says in one, and what a
# calculation apart says; a damaged file is refused.
set -u
program=$1 backend=${2:-cpu}
directory=$(mktemp -d)
trap 'rm -r "$directory"' EXIT
cd "$directory" || exit 1
work="--actors 30 --rounds 200"

$program $work --backend cpu >whole || exit 1
awk 'BEGIN {
    for (i = 0; i < 30; i++) {
        random = (2654435761 * (i + 1)) % 4294967296
        for (n = (1 + int(200 * (i + 1) / 30)) * 256; n > 0; n--) {
            random = (random * 1664525 + 1013904223) % 4294967296; x = int(random / 131072)
            random = (random * 1664525 + 1013904223) % 4294967296; y = int(random / 131072)
            points++
            if (x * x + y * y < 1073741824) inside++
        }
    }
    printf "%d points, %d inside: pi is about %.5f\n", points, inside, 4 * inside / points
}' >apart
diff -u apart whole || exit 1

# Where this process has to wait for a processor, the actors may all be done before it interrupts them, which shows
# nothing: once more.
attempts=50
until
    $program $work --backend "$backend" --save first 2>error
    status=$?
    if grep -q 'RK_ERROR_NO_DEVICE' error; then
        echo "skipped: $(cat error)"
        exit 77
    fi
    attempts=$((attempts - 1))
    [ $status = 0 ] && grep -q 'saved with [1-9][0-9]* of 30 actors not done' error
do
    [ $status = 0 ] && [ $attempts -gt 0 ] || { cat error; exit 1; }
done
$program --backend cpu --resume first --save second 2>error || { cat error; exit 1; }
$program --backend "$backend" --resume second >continued 2>error || { cat error; exit 1; }
diff -u whole continued || exit 1

# Twice from the same file: a copy is as good.
$program --backend cpu --resume first >again 2>error || { cat error; exit 1; }
diff -u whole again || exit 1

head -c 500 second >half
for file in half whole /dev/null missing; do
    $program --backend cpu --resume $file >out 2>error && { echo "$file was taken for a snapshot"; exit 1; }
    [ $file = missing ] || grep -q 'RK_ERROR_BAD_IMAGE\|RK_ERROR_INVALID' error || { cat error; exit 1; }
done
exit 0
