# audio_fft_as_on_cpu.sh BACKEND PROGRAM [RECORDING]: every number of every spectrum is, to 1e-4 of the largest, the same as on the CPU.
set -u
backend=$1 program=$2
shift 2
directory=$(mktemp -d)
trap 'rm -r "$directory"' EXIT
cd "$directory" || exit 1

"$program" --backend cpu --spectra cpu --output cpu.png "$@" >/dev/null || exit 1
if ! "$program" --backend "$backend" --spectra device --output device.png "$@" >/dev/null 2>error; then
    grep -q 'RK_ERROR_NO_DEVICE\|drivers that cut loops short' error && echo "skipped: $(cat error)" && exit 77
    cat error
    exit 1
fi
# The files are floats, one after the other.
od -An -v -tf4 -w4 cpu >cpu.txt
od -An -v -tf4 -w4 device >device.txt
paste cpu.txt device.txt | awk '
    NF != 2 { print "the spectra have different lengths"; bad = 1; exit }
    { a = $1 < 0 ? -$1 : $1; d = $1 - $2; d = d < 0 ? -d : d }
    a > largest { largest = a }
    d > worst { worst = d }
    END {
        printf "%d numbers, the largest %g, the worst differs by %g\n", NR, largest, worst
        exit bad || NR < 1000 || largest == 0 || !(worst <= 1e-4 * largest)
    }'
