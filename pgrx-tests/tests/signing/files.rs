//! Secrets that stay in files.

use std::os::unix::fs::{PermissionsExt, symlink};

use pg_hooks_tests::site::{SOON, refusal, run};
use pg_hooks_tests::wait_until;

use crate::delivery::{OTHER, SECRET};
use crate::site::Server;
use crate::verifier::verdict;

fn server() -> Server {
    let mut server = Server::start();
    server
        .cluster
        .write_private("secrets/shop/key", &format!("{SECRET}\n"));
    server.use_directory("secrets");
    server.queue(", signatures => '{v1}', retry_schedule => array['1 s']::interval[], max_attempts => 100");
    server
}

#[test]
fn the_database_never_holds_a_secret_of_a_file_and_follows_it_at_a_reload() {
    let mut server = server();
    server.run("select hooks.set_secret_file('q', 'shop/key'); select hooks.send('q', '{}')");
    assert_eq!(verdict("v1", SECRET, &server.arrival(1)), "ok");
    assert!(server.value::<bool>("select content is null and file = 'shop/key' from hooks.secret"));
    server.cluster.write_private("secrets/shop/key", OTHER);
    server.use_directory("secrets");
    let mut sent = 1;
    wait_until("the other secret to sign", SOON, || {
        server.run("select hooks.send('q', '{}')");
        sent += 1;
        match verdict("v1", OTHER, &server.arrival(sent)).as_str() {
            "ok" => Ok(()),
            problem => Err(problem.to_owned()),
        }
    });
}

#[test]
fn file_that_is_gone_stops_the_queue_and_is_found_again() {
    let mut server = server();
    server.run("select hooks.set_secret_file('q', 'shop/key')");
    server.cluster.reload(&[("hooks.rescan_interval", "200ms")]);
    let file = server.cluster.private("secrets/shop/key");
    std::fs::rename(&file, file.with_file_name("gone")).unwrap();
    server.run("select hooks.alter_queue('q', max_attempts => 99); select hooks.send('q', '{}')");
    server.wait_for_log(
        "secret for signing cannot be used: file \"shop/key\" cannot be read: No such file or directory",
    );
    assert_eq!(server.receiver.count(), 0);
    server.wait_until(
        "select status = 'warn' and detail like '%\"q\" (%\"shop/key\" cannot be read%' from hooks.health() where check_name = 'held'",
    );
    assert_eq!(
        server.value::<String>("select state from hooks.queue_stats"),
        "held"
    );
    std::fs::rename(file.with_file_name("gone"), &file).unwrap();
    assert_eq!(
        verdict("v1", SECRET, &server.arrival(1)),
        "ok",
        "without a reload"
    );
    server.wait_until("select state = 'active' from hooks.queue_stats");
}

#[test]
fn no_name_and_no_link_leads_out_of_the_folder() {
    let mut server = server();
    let outside = server.cluster.write_private("outside", SECRET);
    symlink(&outside, server.cluster.private("secrets/link")).unwrap();
    symlink(server.cluster.private(""), server.cluster.private("secrets/up")).unwrap();
    symlink("shop/key", server.cluster.private("secrets/inside")).unwrap();
    for (name, problem) in [
        (
            "../outside",
            "file name must be relative, without \".\" and \"..\"",
        ),
        (
            "shop/../../outside",
            "file name must be relative, without \".\" and \"..\"",
        ),
        (
            "/etc/passwd",
            "file name must be relative, without \".\" and \"..\"",
        ),
        (
            "link",
            "file \"link\" is a link that leads out of hooks.secret_directory",
        ),
        (
            "up/outside",
            "file \"up/outside\" is a link that leads out of hooks.secret_directory",
        ),
        ("shop", "file \"shop\" is not a regular file"),
        ("nope", "file \"nope\" cannot be read: No such file or directory"),
    ] {
        let refused = server.refusal(&format!("select hooks.set_secret_file('q', '{name}')"));
        assert_eq!(refused, ("22023".to_owned(), problem.to_owned()));
    }
    server.run("select hooks.set_secret_file('q', 'inside')");
    let pipe = server.cluster.private("secrets/pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    std::fs::set_permissions(&pipe, PermissionsExt::from_mode(0o644)).unwrap();
    let (_, problem) = server.refusal("select hooks.set_secret_file('q', 'pipe')");
    assert_eq!(
        problem, "file \"pipe\" is not a regular file",
        "and nobody waits for it"
    );
}

#[test]
fn file_is_checked_when_it_is_named() {
    let mut server = server();
    for (text, problem) in [
        ("whsec_AAAA", "secret has 3 bytes behind whsec_, not 24 to 64"),
        ("", "secret is empty"),
        (
            "two lines are\nnot a secret",
            "secret contains a line end or another control character",
        ),
        (
            "It's a Secret to Everybody",
            "signature v1 needs a secret that begins with whsec_",
        ),
    ] {
        server.cluster.write_private("secrets/bad", text);
        assert_eq!(
            server.refusal("select hooks.set_secret_file('q', 'bad')").1,
            problem
        );
    }
    let file = server.cluster.private("secrets/shop/key");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o622)).unwrap();
    let (_, problem) = server.refusal("select hooks.set_secret_file('q', 'shop/key')");
    assert_eq!(
        problem,
        "file \"shop/key\" may be written by others than its owner"
    );
}

#[test]
fn only_who_may_read_files_of_the_server_may_name_one() {
    let mut server = server();
    server.run("create role admin login in role hooks_admin; create role reader login in role hooks_admin, pg_read_server_files");
    let name = "select hooks.set_secret_file('q', 'shop/key')";
    let mut admin = server.cluster.connect_as("admin", &server.database);
    let refused = refusal(&mut admin, name);
    assert_eq!(
        (refused.code.as_str(), refused.message.as_str()),
        ("42501", "permission denied to have the server read a file")
    );
    assert_eq!(
        refusal(
            &mut admin,
            "select hooks.store_secret_file('q', 'shop/key', 'signing', '0')"
        )
        .code,
        "42501"
    );
    let mut reader = server.cluster.connect_as("reader", &server.database);
    run(&mut reader, name);
    server.run("select hooks.send('q', '{}')");
    assert_eq!(verdict("v1", SECRET, &server.arrival(1)), "ok");
}

#[test]
fn without_a_folder_no_file_is_read() {
    let mut server = Server::start();
    server.queue("");
    assert_eq!(
        server.refusal("select hooks.set_secret_file('q', 'shop/key')").1,
        "hooks.secret_directory is not set"
    );
}
