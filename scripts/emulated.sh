#!/bin/sh
# Runs a program of arm64 in a root of its own by qemu-user, without being root and without a
# trace on this host.
#
#     scripts/emulated.sh QEMU ROOT PROGRAM [ARGUMENT ...]
#
# The kernel is told about qemu in a user namespace that has its own binfmt_misc, which Linux 6.7
# and later have. On an older one, what the host has registered is used, if anything.
# The root sees /proc and /dev if it has folders of these names, and the host's loopback.
set -eu

if [ "${IMGSYNC_EMULATED:-}" != inside ]; then
    IMGSYNC_EMULATED=inside exec unshare --user --map-root-user --mount sh "$0" "$@"
fi
unset IMGSYNC_EMULATED
qemu=$1
root=$2
shift 2

# A 64-bit little-endian ELF file for machine 0xb7, whatever its ABI, a program or a shared object.
magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
if mount -t binfmt_misc none /proc/sys/fs/binfmt_misc 2>/dev/null; then
    # F: opened now, since in the root there is no such path.
    printf '%s' ":imgsync-arm64:M::$magic:$mask:$qemu:F" >/proc/sys/fs/binfmt_misc/register
fi
for folder in proc dev; do
    [ ! -d "$root/$folder" ] || mount --rbind "/$folder" "$root/$folder"
done
PATH="$PATH:/usr/sbin:/sbin" exec chroot "$root" "$@"
