#!/bin/sh
# Makes a Debian package of a standalone file, for an architecture by Debian's name.
#
#     scripts/deb.sh FILE ARCHITECTURE VERSION FOLDER
set -eu
file=$1
architecture=$2
version=$3
out=$4
root=$out/deb
mkdir -p "$root/DEBIAN" "$root/usr/bin" "$root/usr/share/doc/imgsync"
cp "$file" "$root/usr/bin/imgsync"
cp README.md docs/format.md "$root/usr/share/doc/imgsync/"
cat >"$root/DEBIAN/control" <<CONTROL
Package: imgsync
Version: $version
Architecture: $architecture
Maintainer: the developers of imgsync <imgsync@localhost>
Section: admin
Priority: optional
Description: carries container images across an air gap, every byte of them proved
 One file that needs neither Python nor a C library of the host.
CONTROL
dpkg-deb --root-owner-group --build "$root" "$out/imgsync_${version}_$architecture.deb" >/dev/null
rm -rf "$root"
