#!/bin/sh
# Makes what is carried to hosts: a wheel, a wheelhouse with all that it needs, the standalone
# file, and a Debian package of it, each with its sha256. Called by `make dist`.
set -eu
python=$1
out=${2:-dist}
rm -rf "$out"
mkdir -p "$out/wheelhouse"
"$python" -m pip wheel --quiet --wheel-dir "$out/wheelhouse" .
cp "$out"/wheelhouse/imgsync-*.whl "$out/"
version=$("$python" -c 'import imgsync; print(imgsync.__version__)')
tar -C "$out" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 \
    -cf "$out/imgsync-$version-wheelhouse.tar" wheelhouse
if [ -n "${IMGSYNC_STANDALONE:-}" ]; then
    cp "$IMGSYNC_STANDALONE" "$out/imgsync"
else
    "$python" -m imgsync standalone -o "$out/imgsync"
fi
sh scripts/deb.sh "$out/imgsync" "$(dpkg --print-architecture)" "$version" "$out"
rm -rf "$out/wheelhouse"
(cd "$out" && sha256sum ./* >sha256sums && cat sha256sums)
