//! Databases of other encodings, transactions that are prepared, restarts.

use crate::delivery::{OTHER, SECRET};
use crate::site::Server;
use crate::verifier::verdict;
use pg_hooks_tests::{Cluster, Receiver};

#[test]
fn a_secret_is_its_text_in_utf_8_whatever_the_encoding_of_the_database() {
    let cluster = Cluster::builder().start();
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let database = format!("in_{}", encoding.to_lowercase());
        let mut client = cluster.connect("postgres");
        let create = format!(
            "create database {database} encoding '{encoding}' template template0 lc_collate 'C' lc_ctype 'C'"
        );
        pg_hooks_tests::site::run(&mut client, &create);
        let mut client = cluster.connect(&database);
        let receiver = Receiver::start();
        let url = receiver.url("/q");
        pg_hooks_tests::site::run(
            &mut client,
            &format!(
                "create extension pg_hooks;
                 set client_encoding = 'UTF8';
                 select hooks.create_queue('q', '{url}', signatures => '{{github}}');
                 select hooks.set_secret('q', 'Ein Geheimnis für alle');
                 select hooks.send('q', '{{}}')"
            ),
        );
        let mut arrived = receiver.wait_for("/q", 1, pg_hooks_tests::site::SOON);
        let request = arrived.swap_remove(0);
        assert_eq!(
            verdict("github", "Ein Geheimnis für alle", &request),
            "ok",
            "{encoding}"
        );
    }
}

#[test]
fn a_secret_that_was_set_in_a_prepared_transaction_signs() {
    let mut server = Server::start();
    server.queue(", signatures => '{v1}'");
    server.run(&format!("select hooks.set_secret('q', '{SECRET}')"));
    server.run("select hooks.send('q', '{}')");
    server.arrival(1);
    server.run(&format!(
        "begin; select hooks.set_secret('q', '{OTHER}'); prepare transaction 'p'"
    ));
    server.run("commit prepared 'p'");
    let mut sent = 1;
    pg_hooks_tests::wait_until("the other secret to sign", pg_hooks_tests::site::SOON, || {
        server.run("select hooks.send('q', '{}')");
        sent += 1;
        match verdict("v1", OTHER, &server.arrival(sent)).as_str() {
            "ok" => Ok(()),
            problem => Err(problem.to_owned()),
        }
    });
}

#[test]
fn secrets_survive_a_crash_of_the_server() {
    let mut server = Server::start();
    server.queue(", signatures => '{v1}'");
    server.run(&format!("select hooks.set_secret('q', '{SECRET}')"));
    server.cluster.stop(pg_hooks_tests::cluster::StopMode::Immediate);
    server.cluster.start().unwrap();
    server.client = server.cluster.connect(&server.database);
    server.run("select hooks.send('q', '{}')");
    assert_eq!(verdict("v1", SECRET, &server.arrival(1)), "ok");
}
