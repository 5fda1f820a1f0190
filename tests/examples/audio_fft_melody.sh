# audio_fft_melody.sh PROGRAM: the recording that comes with the example has the notes that make_melody.sh wrote into
# it (of two equal ones in a row the table makes one), and a terminal sees progress.
set -eu
program=$1
directory=$(mktemp -d)
trap 'rm -r "$directory"' EXIT
cd "$directory"

"$program" --backend cpu | tee table
test "$(grep -v '^#' table | awk 'NR > 1 { printf "%s ", $3 }')" = 'C5 D5 E5 C5 D5 E5 C5 E5 F5 G5 E5 F5 G5 '
test -s spectrogram.png

if command -v script >/dev/null; then
    script -qec "'$program' --backend cpu >table2" typescript >/dev/null
    grep -q '\[#\{50\}\] 100%' typescript
    cmp table table2
else
    echo 'the progress bar was not tested: there is no script(1)'
fi
