//! Secrets that are encrypted while they are stored.

use std::os::unix::fs::PermissionsExt;

use crate::delivery::{OTHER, SECRET};
use crate::site::Server;
use crate::verifier::verdict;

const OLD: &str = "old AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const NEW: &str = "new AgECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const STORED_PLAIN: &str =
    "select position(convert_to('C2FVsBQIhrsc', 'UTF8') in content) > 0 from hooks.secret";

fn signed() -> Server {
    let mut server = Server::start();
    server.use_keys(&[OLD]);
    server.queue(", signatures => '{v1}', retry_schedule => array['1 s']::interval[], max_attempts => 100");
    server.run(&format!("select hooks.set_secret('q', '{SECRET}')"));
    server
}

#[test]
fn stored_secret_is_encrypted_and_signs() {
    let mut server = signed();
    assert!(!server.value::<bool>(STORED_PLAIN));
    assert_eq!(server.value::<String>("select key_id from hooks.secrets"), "old");
    server.run("select hooks.send('q', '{}')");
    assert_eq!(verdict("v1", SECRET, &server.arrival(1)), "ok");
    // The same secret is never stored as the same bytes.
    let before: Vec<u8> = server.value("select content from hooks.secret");
    server.run(&format!("select hooks.set_secret('q', '{SECRET}')"));
    assert_ne!(
        before,
        server.value::<Vec<u8>>("select content from hooks.secret")
    );
}

#[test]
fn a_change_of_keys_leaves_no_secret_behind() {
    let mut server = signed();
    server.use_keys(&[NEW, OLD]);
    server.run("select hooks.send('q', '{}')");
    assert_eq!(
        verdict("v1", SECRET, &server.arrival(1)),
        "ok",
        "all keys decrypt"
    );
    server.run("select hooks.create_queue('r', 'https://example.com/'); select hooks.set_secret('r', 'sixteen bytes and more')");
    assert_eq!(
        server.value::<String>("select key_id from hooks.secrets where queue = 'r'"),
        "new",
        "the first one encrypts"
    );
    assert_eq!(server.value::<i64>("select hooks.reencrypt_secrets()"), 1);
    assert_eq!(server.value::<i64>("select hooks.reencrypt_secrets()"), 0);
    assert_eq!(
        server.value::<i64>("select count(*) from hooks.secrets where key_id = 'new'"),
        2
    );
    server.use_keys(&[NEW]);
    server.run("select hooks.send('q', '{}')");
    assert_eq!(verdict("v1", SECRET, &server.arrival(2)), "ok");
}

#[test]
fn secrets_from_before_the_first_key_are_encrypted_when_asked_for() {
    let mut server = Server::start();
    server.queue(", signatures => '{v1}'");
    server.run(&format!("select hooks.set_secret('q', '{SECRET}')"));
    assert!(server.value::<bool>(STORED_PLAIN));
    let refused = server.refusal("select hooks.reencrypt_secrets()");
    assert_eq!(
        refused,
        ("55000".to_owned(), "hooks.secret_key_file is not set".to_owned())
    );
    server.use_keys(&[OLD]);
    server.run("select hooks.send('q', '{}')");
    assert_eq!(verdict("v1", SECRET, &server.arrival(1)), "ok");
    assert_eq!(server.value::<i64>("select hooks.reencrypt_secrets()"), 1);
    assert!(!server.value::<bool>(STORED_PLAIN));
    server.run("select hooks.send('q', '{}')");
    assert_eq!(verdict("v1", SECRET, &server.arrival(2)), "ok");
}

#[test]
fn without_its_key_nothing_is_sent_until_the_key_is_back() {
    let mut server = signed();
    server.use_keys(&[NEW]);
    server.run("select hooks.alter_queue('q', max_attempts => 99); select hooks.send('q', '{}')");
    server.wait_for_log(
        "until this is put right: secret for signing cannot be used: hooks.secret_key_file holds no key \"old\"",
    );
    assert_eq!(server.receiver.count(), 0);
    assert_eq!(
        server.value::<i64>("select hooks.reencrypt_secrets()"),
        0,
        "warns of it"
    );
    server.use_keys(&[NEW, OLD]);
    assert_eq!(verdict("v1", SECRET, &server.arrival(1)), "ok");
}

#[test]
fn ciphertext_of_another_row_does_not_open() {
    let mut server = signed();
    server.run(&format!(
        "select hooks.create_queue('r', 'https://example.com/');
         select hooks.set_secret('r', '{OTHER}');
         update hooks.secret as s set content = o.content from hooks.secret as o
         where s.queue_id = hooks.queue_id('q') and o.queue_id = hooks.queue_id('r');
         select hooks.send('q', '{{}}')"
    ));
    server.wait_for_log("secret for signing cannot be used: it cannot be decrypted with key \"old\"");
    assert_eq!(server.receiver.count(), 0);
}

#[test]
fn key_file_that_others_may_read_or_that_is_broken_is_not_used() {
    let mut server = signed();
    let set = format!("select hooks.set_secret('q', '{SECRET}')");
    let file = server.cluster.private("keys");
    for mode in [0o604, 0o660, 0o640] {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        let (code, message) = server.refusal(&set);
        assert_eq!(code, "55000");
        assert!(
            message.starts_with("hooks.secret_key_file must belong to the user of the server"),
            "{message}"
        );
    }
    for (text, problem) in [
        ("", "hooks.secret_key_file is not valid: it holds no key"),
        (
            "old short",
            "hooks.secret_key_file is not valid: line 1 has no key of 32 bytes in base64",
        ),
    ] {
        server.cluster.write_private("keys", text);
        assert_eq!(server.refusal(&set).1, problem);
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(
        server.refusal(&set).1,
        "hooks.secret_key_file cannot be read: No such file or directory"
    );
}
