#!/usr/bin/env bash
# Makes the disk of a Debian machine as users have it: stock kernel, cgroup v2, AppArmor, the distribution's own Docker.
#
#   make.sh FOLDER     the folder gets disk.img, data.img (empty), vmlinuz, initrd and key
#
# SUITE (trixie), SIZE of the disk (14G). Needs root, mmdebstrap and e2fsprogs. A folder that has a disk keeps it.
set -euo pipefail
folder=${1:?a folder}
suite=${SUITE:-trixie}
mkdir -p "$folder"
folder=$(realpath "$folder")
[ -e "$folder/disk.img" ] && { echo "  unchanged  $folder/disk.img"; exit 0; }
tree=$folder/tree
rm -rf "$tree"

# What a minimal installation has, and what the flows ask with. The packages that Berth needs are its package's business:
# those are here too, because the machine has no way out, and apt says in the flows whether one is missing.
base=linux-image-amd64,initramfs-tools,zstd,systemd-sysv,systemd-resolved,libpam-systemd,udev,dbus,kmod,openssh-server,sudo
asks=curl,sshpass,openssh-client,jq,iproute2,procps,less,bind9-dnsutils,python3-minimal
berth=docker.io,docker-cli,apparmor,iptables,uidmap,git,ca-certificates,mmdebstrap,e2fsprogs,xfsprogs,quota,libnss-myhostname
mmdebstrap --quiet --variant=minbase --mode=root --include="$base,$asks,$berth" \
    --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' "$suite" "$tree"

rm -f "$folder/key" "$folder/key.pub"
ssh-keygen -q -t ed25519 -N '' -C machine -f "$folder/key"
echo machine >"$tree/etc/hostname"
printf '127.0.0.1 localhost machine\n' >"$tree/etc/hosts"
printf '/dev/vda / ext4 defaults 0 1\nshare /mnt/share 9p trans=virtio,version=9p2000.L,msize=512000,nofail,_netdev 0 0\n' \
    >"$tree/etc/fstab"
mkdir -p "$tree/mnt/share" "$tree/etc/systemd/network"
install -d -m 0700 "$tree/root/.ssh"
cp "$folder/key.pub" "$tree/root/.ssh/authorized_keys"
printf '[Match]\nName=en*\n[Network]\nDHCP=ipv4\n' >"$tree/etc/systemd/network/10-wire.network"
printf 'PermitRootLogin prohibit-password\nUseDNS no\n' >"$tree/etc/ssh/sshd_config.d/machine.conf"
printf '9p\n9pnet_virtio\n' >"$tree/etc/modules-load.d/share.conf"
chroot "$tree" systemctl --quiet enable systemd-networkd ssh docker apparmor
chroot "$tree" passwd --quiet --delete root

cp "$tree"/boot/vmlinuz-* "$folder/vmlinuz"
cp "$tree"/boot/initrd.img-* "$folder/initrd"
truncate -s "${SIZE:-14G}" "$folder/disk.new"
mke2fs -q -t ext4 -E lazy_itable_init=0,lazy_journal_init=0 -d "$tree" "$folder/disk.new"
truncate -s 4G "$folder/data.img"
rm -rf "$tree"
mv "$folder/disk.new" "$folder/disk.img"
echo "  made       $folder/disk.img ($suite)"
