//! CREATE EXTENSION is all that a database needs.

use std::sync::Barrier;
use std::thread;

use pg_hooks_tests::wait::try_wait;
use pg_hooks_tests::{Cluster, Receiver};
use postgres::Client;

use crate::site::{SOON, run};

const DATABASES: usize = 8;

#[test]
fn extension_made_in_many_databases_at_once_gets_a_worker_in_each() {
    let cluster = Cluster::builder().start();
    let receiver = Receiver::start();
    let mut clients: Vec<Client> = (0..DATABASES)
        .map(|n| {
            let name = format!("d{n}");
            cluster.create_database(&name);
            cluster.connect(&name)
        })
        .collect();
    for round in 1..=3 {
        let all_set = Barrier::new(DATABASES);
        let create = |client: &mut Client| {
            all_set.wait();
            client
                .batch_execute("create extension pg_hooks")
                .map_err(|error| format!("{error:?}"))
        };
        let made: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = clients
                .iter_mut()
                .map(|client| scope.spawn(|| create(client)))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(made, vec![Ok(()); DATABASES], "round {round}");
        let workless = clients.iter_mut().position(|client| {
            let leader = || {
                client
                    .query_opt("select from hooks.worker where leader", &[])
                    .unwrap()
            };
            try_wait(SOON, leader).is_err()
        });
        assert_eq!(workless, None, "a database without worker, round {round}");
        // A leader that is shown may be one that has not noticed yet that its extension is gone.
        for (n, client) in clients.iter_mut().enumerate() {
            let path = format!("/d{n}");
            let url = receiver.url(&path);
            run(client, &format!("select hooks.create_queue('q', '{url}')"));
            run(client, "select hooks.send('q', 'x')");
            receiver.wait_for(&path, round, SOON);
        }
        clients
            .iter_mut()
            .for_each(|client| run(client, "drop extension pg_hooks"));
    }
}
