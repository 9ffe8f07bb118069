# Makes users who have nothing but their processes, each with a group of their name: for the package's own scripts and for `make up`.
berth_users() { # user...
    for berth_user in "$@"; do
        getent group "$berth_user" >/dev/null || groupadd --system "$berth_user"
        id -u "$berth_user" >/dev/null 2>&1 ||
            useradd --system --gid "$berth_user" --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$berth_user"
        # Somebody made them for something else. Whose files would change their group isn't known here.
        [ "$(id -gn "$berth_user")" = "$berth_user" ] ||
            echo "berth: the user $berth_user isn't in the group $berth_user, so what Berth runs as them can't reach its sockets: \`usermod --gid $berth_user $berth_user\`, unless that user is somebody's" >&2
    done
}
