# What `start`, `check` and `load` share.

lib=${0%/*}
# What was confirmed: the volume. What is in force: gone with the container.
etc=${BERTH_ETC:-/etc/berth}
run=${BERTH_RUN:-/run/berth}
forwarding=/proc/sys/net/ipv4/ip_forward

say() {
    echo "$*" >&2
}

fail() {
    say "$*"
    exit 1
}

# Only one program at a time changes what is in force.
lock() {
    mkdir -p "$run"
    exec 9>"$run/lock"
    flock 9
}

# The name of an empty chain that is loaded with a file, by which the kernel tells which file is in force.
marker() {
    echo "berth.$(sha256sum <"$1" | cut -c1-20)"
}

in_force() { # marker, or the beginning of one
    iptables-save -t filter | grep -q "^:$1[0-9a-f]* "
}

# IPv6 is closed whatever the files say. A kernel without it has nothing to close.
close_v6() {
    [ ! -e /proc/net/if_inet6 ] || ip6tables-restore <"$lib/closed.v6"
}

# Forwarding ends first, so that there is no moment at which packets pass without rules.
close_all() {
    echo 0 >"$forwarding" && iptables-restore <"$lib/closed.v4" && close_v6
}

# The resolver has a user of its own and no capability but to listen on port 53. This container can't signal other
# users' processes, so it is done in that user's name.
as_resolver() { # becomes the program that is named: call it in a shell of its own
    exec setpriv --reuid=dnsmasq --regid=nogroup --clear-groups --no-new-privs "$@"
}

end_resolver() { # pid
    (as_resolver sh -c 'kill -TERM "$1"' sh "$1" 2>/dev/null)
}
