#!/bin/sh
# pumps.sh RKC MODULES TABLE: compiles every module for CUDA devices, which takes an NVRTC and no device, and writes a table of
# registers and spills. A line of MODULES has the arguments with which rkc is called for one. On all processors; all actors
# for sm_90, and the first of each module for the other generations too: the pump is the same for all, and takes a second and
# a half every time.
# pumps.sh --oldest RKC MODULES: compiles the first module with the oldest NVRTC that will do.
set -eu
if [ "$1" = --one ]; then
    rkc=$2 directory=$3
    shift 3
    first=$(for argument; do case $argument in *.rk.h) cat "$argument" ;; esac; done |
        sed -n 's/^RK_ACTOR(\([A-Za-z0-9_]*\).*/\1/p' | head -n 1)
    exec "$rkc" "$@" --no-vulkan --cuda-report sm_90 --cuda-report "sm_75:$first" --cuda-report "sm_80:$first" \
        --cuda-report "sm_100:$first" >"$directory/$$"
fi
[ -n "${RINGKERNEL_CUDA_HOME-}" ] || { echo "skipped: RINGKERNEL_CUDA_HOME does not say where an NVRTC is"; exit 77; }
if [ "$1" = --oldest ]; then
    [ -n "${OLDEST_CUDA_HOME-}" ] || { echo "skipped: OLDEST_CUDA_HOME does not say where an NVRTC of 12.0 is"; exit 77; }
    # Assembled by the newer ptxas: the NVRTC of 12.0 comes without one.
    PATH=$RINGKERNEL_CUDA_HOME/bin:$PATH
    export PATH
    head -n 1 "$3" | RINGKERNEL_CUDA_HOME=$OLDEST_CUDA_HOME xargs "$2" --no-vulkan --cuda-report sm_75
    exit
fi
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
xargs -L 1 -P "$(getconf _NPROCESSORS_ONLN)" sh "$0" --one "$1" "$directory" <"$2"
cat "$directory"/* | awk 'NR == 1 || !/^module /' >"$3"
cat "$3"
