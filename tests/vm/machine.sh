# The machine of a folder that make.sh made, for scripts to read: boot, pull, halt and ask.
#
#   FOLDER   the folder; its `share` is the machine's /mnt/share
#   CPUS (2), MEMORY (6G)
# Nothing leads out of the machine (restrict=on), and only the loopback leads in.
# The disks are written through this machine's page cache (cache=unsafe): what the machine itself had not written yet is what a power cut takes.

# Stock kernels run here only with the processor's own help. A hypervisor within one, which offers /dev/kvm without the
# flags, doesn't run them: then the machine is emulated, which takes about ten times as long.
helped() { [ -w /dev/kvm ] && grep -qE '^flags.*\b(vmx|svm)\b' /proc/cpuinfo; }

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

ask() { # command... as root in the machine
    ask_with "$@" </dev/null
}

ask_with() { # the same, with this input
    ssh -q -i "$FOLDER/key" -p "$(cat "$FOLDER/port")" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
        -o ConnectTimeout=20 -o ServerAliveInterval=15 -o ServerAliveCountMax=20 root@127.0.0.1 "$@"
}

answers() { # within seconds
    local until=$(($(date +%s) + $1))
    until ask true 2>/dev/null; do
        [ "$(date +%s)" -lt "$until" ] || return 1
        kill -0 "$(cat "$FOLDER/pid")" 2>/dev/null || { echo "the machine ended; $FOLDER/console.log" >&2; return 1; }
        sleep 3
    done
}

boot() {
    local how=(-accel "tcg,thread=multi,tb-size=1024" -cpu Westmere)
    helped && how=(-accel kvm -cpu host)
    free_port >"$FOLDER/port"
    mkdir -p "$FOLDER/share"
    qemu-system-x86_64 -nodefaults -no-user-config -display none -machine q35 "${how[@]}" \
        -smp "${CPUS:-2}" -m "${MEMORY:-6G}" -kernel "$FOLDER/vmlinuz" -initrd "$FOLDER/initrd" \
        -append "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0" \
        -drive "file=$FOLDER/disk.img,format=raw,if=virtio,cache=unsafe,discard=unmap" \
        -drive "file=$FOLDER/data.img,format=raw,if=virtio,cache=unsafe,discard=unmap" \
        -virtfs "local,path=$FOLDER/share,mount_tag=share,security_model=none" \
        -nic "user,model=virtio-net-pci,restrict=on,hostfwd=tcp:127.0.0.1:$(cat "$FOLDER/port")-:22" \
        -device virtio-rng-pci -serial "file:$FOLDER/console.log" -pidfile "$FOLDER/pid" -daemonize
    answers 900
}

# Power off without a word, as a cable that is pulled.
pull() {
    local pid
    pid=$(cat "$FOLDER/pid")
    kill -9 "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.2; done
}

halt() {
    local pid
    pid=$(cat "$FOLDER/pid" 2>/dev/null) || return 0
    kill -0 "$pid" 2>/dev/null || return 0
    ask poweroff || true
    for _ in $(seq 300); do kill -0 "$pid" 2>/dev/null || return 0; sleep 1; done
    kill -9 "$pid"
}
