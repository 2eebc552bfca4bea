#!/bin/sh
# Builds the peer of "make bench-peer" from source for this CPU: peer-setup.sh FOLDER. Some ten minutes, once.
# JOBS: compilers at a time; AMX=1: with Intel's matrix unit, where there is one.
set -eu
version=0.3.36
folder=$1
[ "$(cat "$folder/version" 2>/dev/null)" = "$version${AMX:+ amx}" ] && exit 0

# The CPUs that siskin is for have no AMX, and it has no kernels for it; so the default is the peer without it. With it GCC 12
# must not remove dead stores: its _tile_loadconfig says that 8 of the 64 bytes are read, so that the stores of the others
# vanish, and the library dies in its first product.
flags=
if grep -qw amx_tile /proc/cpuinfo; then
	flags='-mno-amx-tile -mno-amx-int8 -mno-amx-bf16'
	[ -z "${AMX:-}" ] || flags='-fno-tree-dse -fno-dse'
	echo "peer-setup.sh: this CPU has AMX; the peer is built with $flags" >&2
fi

rm -rf "$folder"
python3 -m venv "$folder"
CFLAGS=$flags CXXFLAGS=$flags CMAKE_BUILD_PARALLEL_LEVEL=${JOBS:-1} \
	CMAKE_ARGS='-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF' \
	nice -n 19 "$folder/bin/pip" install --no-cache-dir --no-binary llama-cpp-python "llama-cpp-python==$version"
echo "$version${AMX:+ amx}" >"$folder/version"
