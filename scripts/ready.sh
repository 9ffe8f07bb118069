#!/usr/bin/env bash
# Says how to get into the platform that runs: lines to click and to paste.
set -euo pipefail
cd "$(dirname "$0")/.."
field() { scripts/field.sh "$@"; }
domain=$(field "" domain) panel=$(field panel domain)
port=$(field panel port 8443) ssh_port=$(field ssh port 10022)

# As whoever runs this has to type it.
person=${SUDO_USER:-$(id -un)}
sudo="" settings="" places=""
[ "$person" = root ] || sudo="sudo "
not_usual() { # name, value, usual
    [ "$2" = "$3" ] && return
    settings+="BERTH_$1=$(printf %q "$2") "
    places+=" $1=$(printf %q "$2")"
}
not_usual STATE "$BERTH_STATE" /var/lib/berth/state.git
not_usual DATA "$BERTH_DATA" /var/lib/berth/data
berth="$sudo${settings}berth"
# Names below localhost lead here and nowhere else. Others may lead nowhere yet.
case $domain in *.localhost) here=$domain ;; *) here=localhost ;; esac

# Where people reach the panel: through the web server, or at its own port.
panel_url() {
    local number
    case $(field panel edge proxy) in
    proxy) number=$(field public https_port "$(field web https_port 443)") ;;
    *) number=$(field public panel_port "$port") ;;
    esac
    [ "$number" = 443 ] && echo "https://$panel" || echo "https://$panel:$number"
}

# Whoever may invite the others. Their link works once, so it is made once: later, `berth invite` makes another.
admin=$(git --git-dir="$BERTH_STATE" grep -l '^role *= *"admin"' main -- users/ 2>/dev/null | sed -n '1s|.*/\(.*\)\.toml$|\1|p' || true)
shown=$BERTH_DATA/.first-link-shown

if [ -n "$panel" ]; then
    url=$(panel_url)
    echo
    if [ -n "$admin" ] && [ ! -e "$shown" ] && [ "$(git --git-dir="$BERTH_STATE" rev-list --count main)" = 1 ]; then
        link=$(berth invite "$admin")
        echo "  panel   $link"
        echo "          Open it within three days, once: it sets the password of $admin, the first admin."
        [ "$here" = "$domain" ] || echo "          From this machine, before there is DNS: https://localhost:$port/invite/${link##*/}"
        : >"$shown"
    else
        echo "  panel   $url/   (\`$berth invite ${admin:-<admin>}\` prints a link with which they set a password)"
    fi
    [ "$(field panel tls auto)" != internal ] || echo "          The browser warns: the certificate is the platform's own. \`${sudo}make trust$places\` ends that."
    [ "$here" != "$domain" ] || echo "          From another computer, first: ssh -N -L $port:localhost:$port $person@$(uname -n)"
fi
site=$(git --git-dir="$BERTH_STATE" ls-tree --name-only main domains/ | sed -n "s|^domains/\(.*\.${domain//./\\.}\)\.toml\$|\1|p" | grep -v '^_\.' | head -n 1 || true)
server=$(git --git-dir="$BERTH_STATE" show "main:domains/$site.toml" 2>/dev/null | sed -n 's/^server *= *"\(.*\)".*/\1/p' || true)
fingerprint=$(ssh-keyscan -t ed25519 -p "$ssh_port" 127.0.0.1 2>/dev/null | ssh-keygen -l -f - 2>/dev/null | cut -d' ' -f2 || true)
cat <<TEXT
  shell   ssh -p $ssh_port ${server:-<server>}@$here${fingerprint:+
          The first time, ssh asks whether the host key is the right one: $fingerprint}
  push    git clone ssh://git@$here:$ssh_port/state my-state   (change a file, commit, push: the push shows its plan and what came of it)
TEXT
if [ -n "$site" ] && [ "$here" = "$domain" ]; then
    echo "  web     curl -k https://$site/   (after \`${sudo}make trust$places\` without -k)"
elif [ -n "$site" ]; then
    echo "  web     curl -H 'Host: $site' http://127.0.0.1/   (with DNS that leads here: a browser)"
fi
# Where services run, the journal has what they say.
if [ -d /run/systemd/system ]; then log="journalctl -u 'berth*'"; else log=$BERTH_DATA/berth.log; fi
cat <<TEXT
  look    $berth status; $berth plan
  attack  $berth doctor --isolation: what a hostile server reaches
  log     $log
  stop    ${sudo}make down$places   (servers keep running)

TEXT
