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
cp "$build/tests/conformance/conformance" "$build/tests/cuda/cuda_tests" "$build/c-examples/benchmark/benchmark" "$out/bin/"
for example in hello_actor request_response kernel_states plant_monitor market_data failover checkpoint heat_plate batch_processor audio_fft; do
    [ ! -e "$build/c-examples/$example" ] || cp "$build/c-examples/$example" "$out/examples/"
done
strip "$out/bin/conformance" "$out/bin/cuda_tests" "$out/bin/benchmark" "$out"/examples/*
cp -r "$root/c-examples/data" "$out/examples/data"
# What the examples load that is no part of a C compiler's system.
ldd "$out"/examples/* 2>/dev/null | awk '$2 == "=>" && $1 !~ /^lib(c|m|gcc_s|pthread|dl|rt)\.so/ { print $3 }' | sort -u |
    while read -r library; do cp -L "$library" "$out/lib/"; done

cat >"$out/run.sh" <<'RUN'
#!/bin/sh
# run.sh conformance|cuda|benchmark|sanitizer|EXAMPLE [ARGUMENT...]: runs that program of the bundle, on the CUDA backend if no
# argument says --backend.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
what=${1:?conformance, cuda, benchmark, sanitizer or an example}
shift
[ "$what" != cuda ] || exec "$here/bin/cuda_tests" "$@"
case " $* " in
*" --backend "*) ;;
*) set -- --backend cuda "$@" ;;
esac
export LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
case $what in
conformance | benchmark) exec "$here/bin/$what" "$@" ;;
sanitizer) exec compute-sanitizer --error-exitcode 1 "$here/bin/conformance" --no-fork "$@" ;;
esac
[ -x "$here/examples/$what" ] || { echo "run.sh: there is no $what here" >&2; exit 2; }
exec "$here/examples/$what" "$@"
RUN
chmod +x "$out/run.sh"

cat >"$out/README" <<'README'
ringkernel, built for Linux on x86-64. For the CUDA backend NVIDIA's driver is needed, and NVRTC: the library libnvrtc.so of
CUDA 12 or later, which is found where the linker finds it, or in RINGKERNEL_CUDA_HOME.

    ./run.sh conformance                       the semantics, tested
    ./run.sh cuda                              a host program's own CUDA beside it, and handlers that break the device
    ./run.sh benchmark                         what messages cost, beside the card's floors: --only floors, --only calls
    ./run.sh audio_fft --output picture.png    an example; the others are in examples/
    ./run.sh sanitizer --filter delivery       the tests under compute-sanitizer

For programs of your own: include/, lib/, bin/rkc, and lib/cmake for find_package(ringkernel CONFIG).
README
tar -czf "$out.tar.gz" -C "$root/build" ringkernel
du -sh "$out" "$out.tar.gz"
