#!/bin/sh
# Makes the base of the server image where no image can be pulled: a minimal Debian, as a tar stream on stdout.
#
#     templates/base/build.sh | docker import --change 'CMD ["/bin/bash"]' - berth/base:bookworm
#
# It needs mmdebstrap and a Debian mirror. SUITE, MIRROR and VARIANT may be set in the environment; without MIRROR
# the sources are mmdebstrap's own defaults for the suite (the suite, its updates and its security archive).
set -eu

suite=${SUITE:-bookworm}
variant=${VARIANT:-minbase}

# Only what the recipe in ../server needs before its first `apt-get`: HTTPS trust for mirrors that want it.
# Documentation and locales are left out here, so that they are left out of every image made from this base.
exec mmdebstrap \
    --variant="$variant" \
    --mode=root \
    --include=ca-certificates \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-include=/usr/share/locale/locale.alias' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook='rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/log/apt' \
    --customize-hook=': > "$1/etc/machine-id"' \
    "$suite" - ${MIRROR:+"$MIRROR"}
