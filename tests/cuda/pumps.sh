#!/bin/sh
# pumps.sh RKC MODULES TABLE: compiles every module for CUDA devices, which takes an NVRTC and no device, and writes a table of
# registers and spills. A line of MODULES has the arguments with which rkc is called for one. On all processors; all actors
# for sm_90, and the first of each module for the other generations too: the pump is the same for all, and takes a second and
# a half every time. Then one with the oldest NVRTC that will do, if OLDEST_CUDA_HOME
# says where it is.
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
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
xargs -L 1 -P "$(getconf _NPROCESSORS_ONLN)" sh "$0" --one "$1" "$directory" <"$2"
if [ -n "${OLDEST_CUDA_HOME-}" ]; then
    # Assembled by the newer ptxas: the NVRTC of 12.0 comes without one.
    head -n 1 "$2" | PATH=$RINGKERNEL_CUDA_HOME/bin:$PATH RINGKERNEL_CUDA_HOME=$OLDEST_CUDA_HOME \
        xargs "$1" --no-vulkan --cuda-report sm_75 >"$directory/oldest"
else
    echo "not compiled with CUDA 12.0: OLDEST_CUDA_HOME does not say where its NVRTC is"
fi
cat "$directory"/* | awk 'NR == 1 || !/^module /' >"$3"
cat "$3"
