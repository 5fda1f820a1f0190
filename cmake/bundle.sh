#!/bin/sh
# cmake/bundle.sh BUILD: packs what a machine with a GPU needs to run ringkernel, without cargo, CMake or network there:
# library, headers, rkc, examples, tests and benchmark of BUILD, a build with -DRINGKERNEL_LINK=STATIC. Makes
# build/ringkernel and build/ringkernel.tar.gz.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd)
out=$root/build/ringkernel

rm -rf "$out" "$out.tar.gz"
cmake --install "$build" --prefix "$out" --strip >/dev/null
mkdir -p "$out/examples" "$out/lib"
cp "$build/tests/conformance/conformance" "$build/tests/conformance/conformance_racecheck" "$build/tests/cuda/cuda_tests" \
    "$build/c-examples/benchmark/benchmark" "$out/bin/"
for example in hello_actor request_response kernel_states plant_monitor market_data failover checkpoint heat_plate batch_processor audio_fft; do
    [ ! -e "$build/c-examples/$example" ] || cp "$build/c-examples/$example" "$out/examples/"
done
strip "$out"/bin/conformance* "$out/bin/cuda_tests" "$out/bin/benchmark" "$out"/examples/*
cp -r "$root/c-examples/data" "$out/examples/data"
mkdir "$out/examples/checks"
for check in as_on_cpu audio_fft_as_on_cpu checkpoint; do cp "$root/tests/examples/$check.sh" "$out/examples/checks/"; done
# What the examples load that is no part of a C compiler's system.
ldd "$out"/examples/* 2>/dev/null | awk '$2 == "=>" && $1 !~ /^lib(c|m|gcc_s|pthread|dl|rt)\.so/ { print $3 }' | sort -u |
    while read -r library; do cp -L "$library" "$out/lib/"; done

cat >"$out/run.sh" <<'RUN'
#!/bin/sh
# run.sh conformance|cuda|benchmark|EXAMPLE [ARGUMENT...]: runs that program of the bundle, on the CUDA backend if no argument
# says --backend. run.sh examples [BACKEND]: whether the examples say there what they say on the CPU.
# run.sh sanitizer TOOL [ARGUMENT...]: each case of the conformance suite under compute-sanitizer's memcheck, racecheck,
# synccheck or initcheck; under racecheck with actors compiled with RK_RACECHECK, for it knows fewer barriers.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
what=${1:?conformance, cuda, benchmark, examples, sanitizer or an example}
shift
export LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
case $what in
cuda) exec "$here/bin/cuda_tests" "$@" ;;
examples)
    backend=${1:-cuda} all=$here/examples passed=0 failed=0 skipped=0
    check() { # SCRIPT ARGUMENT...
        status=0
        said=$(sh "$all/checks/$@" 2>&1) || status=$?
        case $status in
        0) passed=$((passed + 1)) ;;
        77) skipped=$((skipped + 1)); echo "$said" ;;
        *) failed=$((failed + 1)); printf '%s\n%s\n' "$*" "$said" ;;
        esac
    }
    for example in hello_actor request_response heat_plate kernel_states plant_monitor market_data failover; do
        check as_on_cpu.sh "$backend" "$all/$example"
    done
    check as_on_cpu.sh "$backend" "$all/batch_processor" --stations 12 --ring 16 "$all/data/weather.csv"
    check checkpoint.sh "$all/checkpoint" "$backend"
    [ ! -x "$all/audio_fft" ] || check audio_fft_as_on_cpu.sh "$backend" "$all/audio_fft" "$all/data/melody.wav"
    echo "examples on $backend: $passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
    exit
    ;;
sanitizer)
    tool=${1:?memcheck, racecheck, synccheck or initcheck}
    shift
    program=$here/bin/conformance clean=0 found=0 skipped=0
    [ "$tool" != racecheck ] || program=$here/bin/conformance_racecheck
    cases=$("$program" "$@" --list)
    for case in $cases; do
        status=0
        said=$(compute-sanitizer --tool "$tool" --error-exitcode 1 "$program" --no-fork --backend cuda --load 1 "$@" \
            --case "$case" 2>&1) || status=$?
        case $status in
        0) clean=$((clean + 1)) ;;
        77) skipped=$((skipped + 1)) ;;
        *) found=$((found + 1)); printf '%s: %s\n%s\n' "$tool" "$case" "$said" | head -n 40 ;;
        esac
    done
    echo "$tool: $clean clean, $found not, $skipped skipped"
    [ "$found" = 0 ]
    exit
    ;;
esac
case " $* " in
*" --backend "*) ;;
*) set -- --backend cuda "$@" ;;
esac
case $what in conformance | benchmark) exec "$here/bin/$what" "$@" ;; esac
[ -x "$here/examples/$what" ] || { echo "run.sh: there is no $what here" >&2; exit 2; }
exec "$here/examples/$what" "$@"
RUN
chmod +x "$out/run.sh"

cat >"$out/README" <<'README'
ringkernel, built for Linux on x86-64. For the CUDA backend NVIDIA's driver is needed, and NVRTC: the library libnvrtc.so of
CUDA 12 or later, which is found where the linker finds it, or in RINGKERNEL_CUDA_HOME.

    ./run.sh conformance                       the semantics, tested
    ./run.sh cuda                              a host program's own CUDA beside it, and handlers that break the device
    ./run.sh benchmark                         what messages cost, beside the card's floors: --only floors, --only calls;
                                              --backend vulkan --only round-trip, --only batched
    ./run.sh audio_fft --output picture.png    an example; the others are in examples/
    ./run.sh examples vulkan                   whether all of them say there what they say on the CPU
    ./run.sh sanitizer racecheck               the semantics under compute-sanitizer, each case in a process of its own

For programs of your own: include/, lib/, bin/rkc, and lib/cmake for find_package(ringkernel CONFIG).
README
tar -czf "$out.tar.gz" -C "$root/build" ringkernel
du -sh "$out" "$out.tar.gz"
