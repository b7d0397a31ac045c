//! The trace that a session says its messages belong to.

use pg_hooks_tests::site::Site;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn every_way_to_send_takes_the_trace_of_the_transaction() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run(&format!(
        "create table t (id int);
         select hooks.watch('t', 'q');
         create table u (id int);
         select hooks.watch('u', 'u.{{op}}');
         select hooks.subscribe('**', 'q');
         begin;
         set local hooks.traceparent = '{TRACE}';
         select hooks.send('q', 'text', headers => '{{\"X-A\": \"b\"}}');
         select hooks.send('q', 'bytes'::bytea);
         select hooks.send_batch('q', array['batch']);
         select hooks.publish('a', '1');
         insert into t values (1);
         insert into u values (1);
         commit;
         select hooks.send('q', 'after')"
    ));
    for request in site.arrivals("q", 7) {
        let expected = (request.text() != "after").then_some(TRACE);
        assert_eq!(request.header("traceparent"), expected, "{}", request.text());
    }
    let own = "00-11111111111111111111111111111111-2222222222222222-00";
    site.run(&format!(
        "set hooks.traceparent = '{TRACE}';
         select hooks.send('q', 'own', headers => '{{\"Traceparent\": \"{own}\"}}')"
    ));
    let requests = site.arrivals("q", 8);
    let last = requests.iter().find(|request| request.text() == "own").unwrap();
    assert_eq!(last.header("traceparent"), Some(own), "that of the message wins");
    site.settle();
    let shown: i64 = site.value(&format!(
        "select count(*) from hooks.attempt where request_headers ->> 'traceparent' = '{TRACE}'"
    ));
    assert_eq!(shown, 6);
}

#[test]
fn what_is_no_traceparent_is_refused() {
    let mut site = Site::new();
    for wrong in [
        "x",
        "00-0-0-0",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ] {
        let refused = site.refusal(&format!("set hooks.traceparent = '{wrong}'"));
        assert_eq!(refused.code, "22023", "{wrong}");
        assert!(refused.hint.contains("00-"), "{refused:?}");
    }
}
