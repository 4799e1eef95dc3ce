#!/bin/sh
# Builds the smallest view of the machine that a compiler needs, then runs one command in it without any privilege.
# Runs as the first process of fresh user, mount, pid, network, ipc and uts namespaces: when it ends, the kernel ends all that it started.
# enter.sh ROOT INPUT TMP_BYTES CPU_SECONDS ADDRESS_BYTES PROCESSES FILE_BYTES FOLDERS -- COMMAND...
set -eu
root=$1 input=$2 tmp_bytes=$3 cpu=$4 address=$5 processes=$6 file_bytes=$7 folders=$8
shift 9
umask 022
mount --make-rprivate /
mount -t tmpfs -o "size=$tmp_bytes,nr_inodes=4096,mode=755,nosuid,nodev" sandbox "$root"
cd "$root"
mkdir dev etc in tmp old
: > dev/null
mount --bind /dev/null dev/null
for folder in $folders; do
    if [ -L "$folder" ]; then
        ln -s "$(readlink "$folder")" ".$folder"
    elif [ -d "$folder" ]; then
        mkdir -p ".$folder"
        mount --rbind "$folder" ".$folder"
        mount -o remount,bind,ro,nosuid,nodev ".$folder"
    fi
done
mount --bind "$input" in
mount -o remount,bind,ro,nosuid,nodev in
mkdir proc
mount --rbind /proc proc # umount(8) reads its mount table; taken away below, before anything foreign runs
pivot_root . old
cd /
umount -l /old
umount -l /proc
rmdir /old /proc
cd /tmp
echo ready >&2
set +e
prlimit --core=0 --nofile=64 --cpu="$cpu:$((cpu + 1))" --as="$address" --nproc="$processes" --fsize="$file_bytes" -- \
    setpriv --no-new-privs --bounding-set=-all --inh-caps=-all --ambient-caps=-all -- "$@"
exit $?
