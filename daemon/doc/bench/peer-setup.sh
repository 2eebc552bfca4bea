#!/bin/sh
# Builds the peer of "make bench-peer" from source for this CPU: peer-setup.sh FOLDER. Some ten minutes, once.
set -eu
version=0.3.36
folder=$1
[ "$(cat "$folder/version" 2>/dev/null)" = "$version" ] && exit 0
rm -rf "$folder"
python3 -m venv "$folder"

# Some virtual machines announce AMX and then fault at its first instruction. There the library is built without it.
flags=
printf '%s\n' '#include <immintrin.h>' '#include <sys/syscall.h>' '#include <unistd.h>' \
	'int main(void) {' \
	'	char config[64] __attribute__((aligned(64))) = {1};' \
	'	if (syscall(SYS_arch_prctl, 0x1023, 18) != 0) return 0; /* ARCH_REQ_XCOMP_PERM: not granted, so never used */' \
	'	_tile_loadconfig(config);' \
	'	_tile_release();' \
	'}' >"$folder/amx.c"
if grep -qw amx_tile /proc/cpuinfo; then
	cc -O1 -mamx-tile -o "$folder/amx" "$folder/amx.c"
	(ulimit -c 0; "$folder/amx") 2>/dev/null || flags='-mno-amx-tile -mno-amx-int8 -mno-amx-bf16'
fi
[ -z "$flags" ] || echo "peer-setup.sh: AMX does not work here, the peer is built without it" >&2

CFLAGS=$flags CXXFLAGS=$flags CMAKE_BUILD_PARALLEL_LEVEL=${JOBS:-1} \
	CMAKE_ARGS='-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF -DMTMD_BUILD=OFF' \
	nice -n "${NICE:-19}" "$folder/bin/pip" install --no-cache-dir --no-binary llama-cpp-python "llama-cpp-python==$version"
echo "$version" >"$folder/version"
