#!/bin/sh
# cmake/bundle.sh BUILD [OUT]: packs what a GPU machine needs to run ringkernel, without cargo, CMake or network there:
# library, headers, rkc, tests, examples and benchmark of the build directory BUILD (configured with
# -DRINGKERNEL_LINK=STATIC, so that its programs need nothing beside them), and the script run.sh. OUT: build/bundle.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd)
out=${2:-$root/build/bundle}

rm -rf "$out"
mkdir -p "$out/bin" "$out/examples"
cmake --install "$build" --prefix "$out" --strip >/dev/null
cp "$build/tests/conformance/conformance" "$build/c-examples/benchmark/benchmark" "$out/bin/"
for example in hello_actor request_response kernel_states batch_processor audio_fft; do
    cp "$build/c-examples/$example" "$out/examples/"
done
cp -r "$root/c-examples/data" "$out/examples/data"
strip "$out"/bin/conformance "$out"/bin/benchmark "$out"/examples/hello_actor "$out"/examples/request_response \
    "$out"/examples/kernel_states "$out"/examples/batch_processor "$out"/examples/audio_fft

cat >"$out/run.sh" <<'RUN'
#!/bin/sh
# run.sh conformance|benchmark|sanitizer [arguments]: runs that program of the bundle on the CUDA backend.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
what=${1:?conformance, benchmark or sanitizer}
shift
case $what in
conformance) exec "$here/bin/conformance" --backend cuda "$@" ;;
benchmark) exec "$here/bin/benchmark" --backend cuda "$@" ;;
sanitizer) exec compute-sanitizer --error-exitcode 1 "$here/bin/conformance" --backend cuda --no-fork "$@" ;;
*) echo "run.sh: there is no $what here" >&2; exit 2 ;;
esac
RUN
chmod +x "$out/run.sh"
du -sh "$out"
