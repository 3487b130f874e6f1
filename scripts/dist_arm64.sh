#!/bin/sh
# Makes the standalone file and the Debian package for arm64 on a host of another architecture.
# Called by `make dist-arm64`. Some minutes; 1 GB in the folder for work.
#
#     scripts/dist_arm64.sh PYTHON WORK OUT
#
# What is documented for an arm64 host (pip install, imgsync standalone) is done in a root of
# Debian's arm64 packages that qemu-user runs. Packages are fetched by this host's apt and pip, as
# they are configured, and only unpacked: nothing is installed here, and nothing needs root.
set -eu
python=$1
work=$2
out=$3
case $work in /*) ;; *) work=$PWD/$work ;; esac

# Of the root: Python and what PyInstaller and staticx call; a C compiler, and a second C library
# for the part of staticx that is linked statically, since it has no wheel for arm64.
packages="bash dash coreutils sed grep libc-bin python3 libpython3-stdlib binutils patchelf
          gcc libc6-dev musl-tools"

for tool in apt-get dpkg-deb unshare; do
    command -v "$tool" >/dev/null || { echo "$tool is needed: this is for Debian" >&2; exit 5; }
done
rm -rf "$work" "$out"
mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial" "$work/host" "$work/root/tmp" \
    "$work/root/proc" "$work/root/dev" "$work/root/wheels" "$out"

# The sources and keys are this host's; what is installed is nothing; where it goes is ours.
cat >"$work/apt/apt.conf" <<APT
APT::Architecture "arm64";
APT::Architectures { "arm64"; "$(dpkg --print-architecture)"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Debug::NoLocking "true";
Dir::State "$work/apt";
Dir::State::lists "$work/apt/lists";
Dir::State::status "/dev/null";
Dir::Cache "$work/apt";
Dir::Cache::archives "$work/apt/archives";
APT
export APT_CONFIG="$work/apt/apt.conf"
# What this host has done after an update is for its own packages. Read after its configuration.
cat >"$work/apt/hooks.conf" <<APT
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT
apt() { apt-get --config-file "$work/apt/hooks.conf" --quiet --quiet --yes "$@"; }
echo "packages for arm64"
apt update

qemu=$(command -v qemu-aarch64-static || true)
if [ -z "$qemu" ]; then
    (cd "$work/host" && apt download "qemu-user-static:$(dpkg --print-architecture)")
    dpkg-deb --extract "$work"/host/qemu-user-static_*.deb "$work/host"
    qemu=$work/host/usr/bin/qemu-aarch64-static
fi
ln -s "$qemu" "$work/qemu"

# PyInstaller wants Python as a library too, which python3 does not depend on.
# shellcheck disable=SC2086  # a list of names is what is meant
apt --download-only install $packages "libpython$(
    apt-cache depends python3 | sed -n 's/^ *Depends: python\(3\.[0-9]*\)$/\1/p'
)" >/dev/null
for package in "$work"/apt/archives/*.deb; do
    dpkg-deb --extract "$package" "$work/root"
done
ln -sf dash "$work/root/bin/sh" # what the package does when it is configured
version_of_python=$(basename "$(readlink "$work/root/usr/bin/python3")" | sed 's/python//')

echo "wheels for arm64 and Python $version_of_python"
fetch() { "$python" -m pip --quiet download --dest "$work/root/wheels" "$@"; }
"$python" -m pip wheel --quiet --no-deps --wheel-dir "$work/root/wheels" .
fetch --only-binary :all: --python-version "$version_of_python" \
    --platform manylinux2014_aarch64 --platform manylinux_2_28_aarch64 \
    "$work"/root/wheels/imgsync-*.whl pip setuptools wheel scons pyinstaller pyelftools
fetch --no-deps --no-binary staticx staticx

# pip's own places for building are not found by Debian's Python: --no-build-isolation.
in_root() {
    env -i PATH=/opt/imgsync/bin:/usr/bin:/bin HOME=/tmp LC_ALL=C.UTF-8 \
        CC=gcc BOOTLOADER_CC=musl-gcc \
        sh scripts/emulated.sh "$work/qemu" "$work/root" "$@"
}

echo "imgsync, installed in the root"
in_root python3 -m venv --without-pip /opt/imgsync
pip="/opt/imgsync/bin/python /wheels/$(cd "$work/root/wheels" && echo pip-*.whl)/pip --quiet \
    install --no-index --find-links /wheels --no-build-isolation"
# shellcheck disable=SC2086  # a command and its arguments
in_root $pip setuptools wheel scons
# shellcheck disable=SC2086
in_root $pip 'imgsync[standalone]'

echo "the file"
in_root imgsync standalone -o /tmp/imgsync
cp "$work/root/tmp/imgsync" "$out/imgsync"
version=$("$python" -c 'import imgsync; print(imgsync.__version__)')
sh scripts/deb.sh "$out/imgsync" arm64 "$version" "$out"
(cd "$out" && sha256sum ./* >sha256sums && cat sha256sums)
