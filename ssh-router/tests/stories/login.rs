//! Logins: of people who get in, and of people who don't and see why.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Instant;

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
use berth_schema::route::RouteUser;

use crate::harness::{BCRYPT, PASSWORD, Place, await_that, public, text};

#[test]
fn owner_member_and_admin_get_in_by_key_and_nobody_else() {
    let place = Place::new();
    for (who, login) in [("ann", "server1"), ("ann", "shop"), ("bob", "shop"), ("carol", "server1")] {
        let output = place.ssh(who, login, &[]).arg("echo in").output().unwrap();
        assert_eq!((text(&output.stdout), output.status.code()), ("in\n".into(), Some(0)), "{who} {login}");
    }
    let mut answers = Vec::new();
    for (who, login) in [("eve", "shop"), ("other", "shop"), ("ann", "server9"), ("ann", "root")] {
        let output = place.ssh(who, login, &[]).arg("echo in").output().unwrap();
        assert_eq!((text(&output.stdout), output.status.code()), (String::new(), Some(255)), "{who} {login}");
        answers.push(text(&output.stderr).replace(login, "<login>"));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "one answer for all: {answers:#?}");
    place.await_log("user=ann server=shop by=\"key\"");
    // Who reached for what, if the key tells.
    for tried in
        ["\"shop\" key_of=\"eve\" refused=1", "\"shop\" refused=1", "\"root\" key_of=\"ann\" refused=1"]
    {
        await_that(tried, || {
            let log = place.log();
            log.lines()
                .any(|line| line.contains("nobody logged in") && line.contains(&format!("login={tried}")))
        });
    }
}

#[test]
fn a_password_opens_as_bcrypt_and_as_argon2id_and_a_wrong_one_is_like_an_unknown_server() {
    let place = Place::new();
    let output = place.ssh_password("shop", PASSWORD, "echo in");
    assert_eq!(text(&output.stdout), "in\n", "{}", text(&output.stderr));

    let params = Params::new(8192, 5, 1, None).unwrap();
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon.hash_password_with_salt(PASSWORD.as_bytes(), b"saltsaltsaltsalt").unwrap().to_string();
    let (_, ann) = place.routes().user("ann").map(|(name, user)| (name.clone(), user.clone())).unwrap();
    let ann = RouteUser { password_hash: Some(hash), ..ann };
    place.put_routes(&place.routes().with_user("ann".parse().unwrap(), ann).render().unwrap());
    place.await_log("routes changed");
    let output = place.ssh_password("server1", PASSWORD, "echo in");
    assert_eq!(text(&output.stdout), "in\n", "{}", text(&output.stderr));

    let mut answers = Vec::new();
    for (login, password) in
        [("shop", "wrong"), ("nothing", PASSWORD), ("nothing", "wrong"), ("shop", BCRYPT)]
    {
        let start = Instant::now();
        let output = place.ssh_password(login, password, "echo in");
        assert!(start.elapsed().as_millis() >= 600, "refused too soon: {:?}", start.elapsed());
        assert!(output.stdout.is_empty() && !output.status.success());
        answers.push((output.status.code(), text(&output.stderr).replace(login, "<login>")));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "one answer for all: {answers:#?}");
}

#[test]
fn a_server_that_does_not_answer_or_shows_another_key_says_so_to_those_who_may_know() {
    let place = Place::new();
    let output = place.ssh("eve", "gone", &[]).arg("true").output().unwrap();
    assert_eq!(text(&output.stderr), "berth: cannot reach gone: it doesn't answer\r\n");
    assert_eq!(output.status.code(), Some(255));
    let output = place.ssh("eve", "wiki", &[]).arg("true").output().unwrap();
    assert!(text(&output.stderr).contains("it shows another host key than it should"), "{output:?}");
    assert_eq!(output.status.code(), Some(255));
    place.await_log("cannot reach the server server=\"wiki\" error=it shows another host key");
    // The server closes as soon as it has refused; it is said all the same.
    std::fs::write(place.path("authorized_keys"), "").unwrap();
    for _ in 0..5 {
        let output = place.run("true");
        assert_eq!(text(&output.stderr), "berth: cannot reach shop: it doesn't let the router in\r\n");
        assert_eq!(output.status.code(), Some(255));
    }
}

#[test]
fn keys_of_every_kind_that_the_schema_takes_open() {
    let place = Place::new();
    for (kind, bits) in [("rsa", "2048"), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521")] {
        let name = format!("{kind}{bits}");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-b", bits, "-N", "", "-f"])
            .arg(place.path(&name))
            .status();
        assert!(made.unwrap().success());
        let key = public(place.folder.path(), &name).parse().unwrap();
        let ann = RouteUser { admin: false, password_hash: None, keys: vec![key] };
        place.put_routes(&place.routes().with_user("ann".parse().unwrap(), ann).render().unwrap());
        await_that(&name, || place.ssh(&name, "shop", &[]).arg("true").status().unwrap().success());
    }
}

#[test]
fn only_modern_algorithms_are_offered_and_the_post_quantum_ones_come_first() {
    let place = Place::new();
    for (flags, why) in [
        (&["-oKexAlgorithms=diffie-hellman-group14-sha256"][..], "no matching key exchange method found"),
        (&["-oCiphers=aes128-ctr"], "no matching cipher found"),
        (&["-oCiphers=aes256-ctr", "-oMACs=hmac-sha1"], "no matching MAC found"),
        (&["-oHostKeyAlgorithms=rsa-sha2-512"], "no matching host key type found"),
    ] {
        let output = place.ssh("ann", "shop", &[flags, &["-v"]].concat()).arg("true").output().unwrap();
        assert_eq!(output.status.code(), Some(255), "{flags:?}");
        assert!(text(&output.stderr).contains(why), "{}", text(&output.stderr));
    }
    let lists = offered_lists(&place);
    let expected = [
        "mlkem768x25519-sha256,curve25519-sha256,curve25519-sha256@libssh.org,ext-info-s,kex-strict-s-v00@openssh.com",
        "ssh-ed25519",
        "aes256-gcm@openssh.com,aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr",
        "aes256-gcm@openssh.com,aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr",
        "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com",
        "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com",
        "none",
        "none",
    ];
    assert_eq!(lists, expected);
}

/// Algorithms that a router offers. They follow its name in the clear, in eight lists (RFC 4253, section 7.1).
fn offered_lists(place: &Place) -> Vec<String> {
    let mut stream = place.connect();
    stream.write_all(b"SSH-2.0-story\r\n").unwrap();
    let mut name = [0; 15];
    stream.read_exact(&mut name).unwrap();
    assert_eq!(&name, b"SSH-2.0-berth\r\n");
    let number = |stream: &mut TcpStream| {
        let mut number = [0; 4];
        stream.read_exact(&mut number).unwrap();
        usize::try_from(u32::from_be_bytes(number)).unwrap()
    };
    number(&mut stream);
    let mut before = [0; 18];
    stream.read_exact(&mut before).unwrap();
    assert_eq!(before[1], 20, "SSH_MSG_KEXINIT");
    let list = |_| {
        let mut list = vec![0; number(&mut stream)];
        stream.read_exact(&mut list).unwrap();
        text(&list)
    };
    (0..8).map(list).collect()
}

#[test]
fn a_client_that_knows_aes_gcm_gets_it_and_every_other_gets_its_own() {
    let place = Place::new();
    let cipher = |flags: &[&str]| {
        let output = place.ssh("ann", "shop", &[flags, &["-v"]].concat()).arg("echo in").output().unwrap();
        assert_eq!(output.stdout, b"in\n", "{flags:?}: {}", text(&output.stderr));
        let said = text(&output.stderr);
        let line = said.lines().find(|line| line.contains("kex: client->server cipher: ")).unwrap();
        line.split("cipher: ").nth(1).unwrap().split(' ').next().unwrap().to_owned()
    };
    // Its own order begins with ChaCha20. A client that is kept from answering at once, by a busy machine, gets that.
    await_that("AES-GCM", || cipher(&[]).ends_with("gcm@openssh.com"));
    for own in ["chacha20-poly1305@openssh.com", "aes256-ctr", "aes256-gcm@openssh.com"] {
        assert_eq!(cipher(&[&format!("-oCiphers={own}")]), own);
    }
    // New keys in the middle are chosen from the same offer.
    let big = place.path("big");
    crate::harness::noise(&big, 6 << 20);
    let output = place
        .ssh("ann", "shop", &["-oRekeyLimit=1M"])
        .arg(format!("cat {}", big.display()))
        .output()
        .unwrap();
    assert!(output.stdout == std::fs::read(&big).unwrap());
}
