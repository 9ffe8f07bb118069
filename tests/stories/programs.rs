//! Programs that people really run: installed from Debian's packages, started as Debian starts them, and each does what it is for.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use berth_tests::process::within;
use berth_tests::{Platform, Ran, World, image};

crate::stories! { what_people_run_runs }

/// Thirty services come up at once, on two processors.
const BOOT: Duration = Duration::from_secs(600);
/// Time that a program has to answer.
const ANSWER: Duration = Duration::from_secs(120);

/// Time between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Recipe of the image, and what lies beside it.
const RECIPE: &str = "stories/programs";

/// A program, and a line of shell that fails unless it does what it is for.
const PROGRAMS: &[(&str, &str)] = &[
    ("redis-server", "redis-cli set a b && redis-cli get a | grep -x b"),
    ("postgresql", "su postgres -c \"psql -Atc 'select 6 * 7'\" | grep -x 42"),
    ("mariadb-server", "mariadb -Ne 'select 6 * 7' | grep -x 42"),
    ("rabbitmq-server", "rabbitmqctl await_startup --timeout 60 && rabbitmqctl list_queues"),
    ("memcached", "printf 'set a 0 0 1\\r\\nb\\r\\nget a\\r\\nquit\\r\\n' | busybox nc 127.0.0.1 11211 | grep -q '^b'"),
    ("mosquitto", "mosquitto_pub -r -t a -m here && mosquitto_sub -C 1 -W 10 -t a | grep -x here"),
    // Its page may be Apache's, which is installed beside it.
    ("nginx", "curl -sSf -o /dev/null -D - http://127.0.0.1:8101/ | grep -i '^server: nginx'"),
    ("apache2", "curl -sSf http://127.0.0.1:8102/ | grep -i apache"),
    ("lighttpd", "curl -sS -o /dev/null -D - http://127.0.0.1:8103/ | grep -i '^server: lighttpd'"),
    ("haproxy", "curl -sSf -o /dev/null -D - http://127.0.0.1:8104/ | grep -i '^server: nginx'"),
    ("squid", "curl -sSf -o /dev/null -D - -x http://127.0.0.1:3128 http://localhost:8101/ | grep -i '^server: nginx'"),
    (
        "php-fpm, behind the server's own Caddy, by a site without `http://`",
        "socket=$(ls /run/php/php*-fpm.sock | head -n 1)
        printf 'php.example.org {\\n\\troot * /srv\\n\\tphp_fastcgi unix/%s\\n}\\n' \"$socket\" > /apps/aplikacijos/caddy.d/php.caddy
        sleep 2; curl -sSf -H 'Host: php.example.org' http://127.0.0.1/ | grep -x 'php says 42'",
    ),
    ("gunicorn, as a user that is made for it", "curl -sSf http://127.0.0.1:8105/ | grep gunicorn"),
    ("node, with `PrivateUsers=` and `ProtectProc=`", "curl -sSf http://localhost:8106/ | grep node"),
    (
        "asyncio, at both addresses of localhost",
        "busybox nc 127.0.0.1 8107 < /dev/null | grep asyncio && curl -sS --http0.9 'http://[::1]:8107/' | grep asyncio",
    ),
    ("postfix", "printf 'Subject: here\\n\\nwords\\n' | sendmail member; sleep 2; grep -q words /var/mail/member"),
    ("bind9", "dig +short +time=5 @127.0.0.1 localhost | grep -x 127.0.0.1"),
    ("samba", "smbclient -N -L 127.0.0.1 | grep -i 'IPC\\$'"),
    ("vsftpd", "busybox nc 127.0.0.1 21 < /dev/null | grep '^220'"),
    ("supervisor", "supervisorctl status ticker | grep RUNNING && test -s /tmp/ticker"),
    ("cron", "test -s /tmp/cron"),
    ("a timer", "systemctl list-timers --all | grep -q logrotate || systemctl list-timers --all | grep -q apt; systemd-run --quiet --on-active=1s touch /tmp/timer && sleep 3 && test -e /tmp/timer"),
    (
        "a service of a user who isn't root",
        "systemctl --user -M member@ is-system-running | grep running && systemd-run --quiet --user -M member@ touch /tmp/by-member \\
        && sleep 1 && stat -c %U /tmp/by-member | grep -x member",
    ),
    ("strace, of a process that runs already", "sleep 5 & timeout 3 strace -f -p $! -o /tmp/strace; grep -q . /tmp/strace"),
    ("sudo, and the server's own name", "sudo true 2>&1 | grep . && exit 1; getent hosts \"$(hostname)\" && getent passwd everyday | grep /apps/aplikacijos"),
    (
        "a Compose file with limits, rights, settings, a health check, and a network over the platform's addresses",
        "cd /srv && export MEMLOCK=$(ulimit -Hl | sed 's/unlimited/-1/; s/$/000/; s/-1000/-1/') && docker compose up --quiet-pull --wait web \\
        && curl -sSf http://127.0.0.1:8108/ | grep 'compose is here' \\
        && docker compose run --rm after | grep 'compose is here'",
    ),
    (
        "docker build, and a container with its name",
        "mkdir -p /tmp/b && printf 'FROM berth/endpoint:local\\nRUN [\"/bin/busybox\", \"mkdir\", \"/made\"]\\nUSER 1000\\n' > /tmp/b/Dockerfile \\
        && docker build -q -t b /tmp/b && docker run --rm b /bin/busybox id | grep uid=1000",
    ),
    ("FUSE and TUN, as far as the host's nodes allow", "test -c /dev/fuse && test -c /dev/net/tun && ! (: < /dev/fuse) 2>&1 | grep 'not permitted'"),
    ("a login shell that says three lines", "test \"$(grep -c . /etc/motd)\" = 3"),
];

fn what_people_run_runs(world: &World) {
    let engine = world.engine_with_servers();
    let made = image::bring_made(engine, RECIPE);
    let platform = Platform::new(engine, |state| {
        let settings = state.read("platform.toml");
        let settings =
            settings.replace(image::TINY, image::SERVER).replace(image::HOLDER, image::SERVER_HOLDER);
        state.write("platform.toml", &settings);
        let size = "memory = \"4 GiB\"\npids = 4096\ncpus = 2\n";
        state.server("everyday", 1, &format!("image = \"{made}\"\n{size}"));
    });
    platform.apply();
    let inside = |script: &str| -> Ran {
        // As a service, and not as `docker exec`, which has rights of its own. One that fails is tried again, and is none of the server's.
        let run = ["exec", &platform.name(1), "systemd-run", "--quiet", "--collect", "--pipe", "--wait", "sh", "-c", script];
        platform.docker().attempt(&run)
    };
    let is_up = || {
        let ran = platform.docker().attempt(&["exec", &platform.name(1), "systemctl", "is-system-running"]);
        Some(ran.stdout.trim().to_owned()).filter(|state| ["running", "degraded"].contains(&state.as_str()))
    };
    let state = within(BOOT, "the server has started", is_up);
    let failed = inside("systemctl list-units --failed --plain --no-legend").stdout;
    assert_eq!(state, "running", "{failed}");
    let mut wrong = String::new();
    for (program, line) in PROGRAMS {
        let script = format!("export HOME=/root; {line}");
        let until = Instant::now() + ANSWER;
        loop {
            let ran = inside(&script);
            if ran.is_good() {
                break;
            }
            if Instant::now() > until {
                // The others are told of, too.
                let _ = writeln!(wrong, "{program}: {ran}");
                break;
            }
            thread::sleep(PAUSE);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let failed = inside("systemctl list-units --failed --plain --no-legend").stdout;
    assert_eq!(failed, "", "all of them work together");
}
