//! Events: reading what messages tell of, and removing what nothing refers to.

use std::collections::{BTreeMap, HashMap};

use pgrx::spi::{SpiClient, SpiHeapTupleData};

use super::message::Content;
use super::{bytes, column, optional, statement};
use crate::domain::envelope::Envelope;
use crate::domain::event::{Event, Metadata};
use crate::domain::headers::Headers;
use crate::domain::message::Body;
use crate::domain::time::Timestamp;
use crate::session::{Failure, from_postgres, to_postgres};

/// What a message of an event says of it.
pub struct Reference {
    pub event_id: i64,
    /// Name of the envelope; `None` for the payload as it is.
    pub envelope: Option<String>,
}

statement!(
    EVENTS,
    "select e.id, convert_to(e.type, 'UTF8'), e.created_at,
            case when w.with_payload then convert_to(e.payload, 'UTF8') end,
            convert_to(e.metadata::text, 'UTF8'), convert_to(e.headers::text, 'UTF8')
     from unnest($1::bigint[], $2::boolean[]) as w(id, with_payload)
     cross join lateral (select * from hooks.event as o where o.id = w.id limit 1) as e"
);

/// Makes of what these messages hold themselves what they send of their events. Each event is read
/// once, and its payload only if one of them sends it: the size of a message with a body of its own is that of
/// the body.
pub fn wrap(
    client: &mut SpiClient<'_>,
    messages: Vec<(&mut Content, Reference)>,
    webhook_key: &str,
) -> Result<(), Failure> {
    if messages.is_empty() {
        return Ok(());
    }
    let mut wanted: BTreeMap<i64, bool> = BTreeMap::new();
    for (content, of) in &messages {
        let sends_payload = matches!(content, Ok((_, Body::Empty)));
        *wanted.entry(of.event_id).or_default() |= sends_payload;
    }
    let (ids, with_payload): (Vec<i64>, Vec<bool>) = wanted.into_iter().unzip();
    let mut events = HashMap::with_capacity(ids.len());
    let arguments = [ids.into(), with_payload.into()];
    for row in EVENTS.with(|statement| statement.read(client, &arguments))? {
        events.insert(column::<i64>(&row, 1)?, read(&row)?);
    }
    for (content, of) in messages {
        if let Ok((headers, body)) = content {
            *content = match events.get(&of.event_id) {
                Some(Ok(event)) => wrapped(event, &of, webhook_key, headers, body),
                Some(Err(problem)) => Err(problem.clone()),
                None => Err(format!("event {} does not exist", of.event_id)),
            };
        }
    }
    Ok(())
}

fn wrapped(event: &Event, of: &Reference, webhook_key: &str, headers: &Headers, body: &Body) -> Content {
    let envelope = of.envelope.as_deref().unwrap_or("raw");
    let Some(envelope) = Envelope::parse(envelope) else {
        return Err(format!("envelope \"{envelope}\" is not known"));
    };
    let data = match body {
        Body::Empty => event.payload.clone(),
        Body::Text(own) | Body::Binary(own) => own.clone(),
    };
    envelope
        .wrap(event, webhook_key, data, headers)
        .map_err(|invalid| invalid.message)
}

fn read(row: &SpiHeapTupleData<'_>) -> Result<Result<Event, String>, Failure> {
    let kind: Vec<u8> = column(row, 2)?;
    let (Ok(metadata), Ok(headers)) = (json(row, 5)?, json(row, 6)?) else {
        return Ok(Err(
            "metadata or headers of the event are not valid JSON".to_owned()
        ));
    };
    Ok(
        match (Metadata::from_json(&metadata), Headers::from_json(&headers)) {
            (Ok(metadata), Ok(headers)) => Ok(Event {
                id: column(row, 1)?,
                kind: String::from_utf8_lossy(&kind).into_owned(),
                created_at: from_postgres(column(row, 3)?),
                // Missing where it is not sent.
                payload: bytes(row, 4)?.unwrap_or_default(),
                metadata,
                headers,
            }),
            (Err(invalid), _) | (_, Err(invalid)) => Err(invalid.message),
        },
    )
}

fn json(
    row: &SpiHeapTupleData<'_>,
    ordinal: usize,
) -> Result<serde_json::Result<serde_json::Value>, Failure> {
    let text: Option<Vec<u8>> = optional(row, ordinal)?;
    Ok(text.map_or(Ok(serde_json::Value::Null), |text| serde_json::from_slice(&text)))
}

// One step along the primary key: events that are old enough, up to the first that is not.
statement!(
    FORGET_EVENTS,
    "with step as (
       select e.id, e.created_at < now() - interval '7 days' as is_old
       from hooks.event as e
       where e.id > $1
       order by e.id
       limit 1000
     ), gone as (
       delete from hooks.event as e
       where e.id = any (array(
           select s.id
           from step as s
           where s.is_old
             and not exists (select from hooks.message as m where m.event_id = s.id)
             and not exists (select from hooks.dead_letter as d where d.event_id = s.id)
             and not exists (select from hooks.message_log as l where l.event_id = s.id and l.kept)))
       returning e.id
     )
     select (select case when count(*) = 1000 and bool_and(s.is_old) then max(s.id) end from step as s),
            (select count(*) from gone)"
);

/// Removes events of the 1000 behind this id that are older than seven days and that no message, no
/// dead letter and no finished message that was kept tells of. Returns the last of them if there may be old ones behind, and how many went.
pub fn forget_events(client: &mut SpiClient<'_>, after: i64) -> Result<(Option<i64>, i64), Failure> {
    let rows = FORGET_EVENTS.with(|statement| statement.run(client, &[after.into()]))?;
    match rows.into_iter().next() {
        Some(row) => Ok((optional(&row, 1)?, column(&row, 2)?)),
        None => Ok((None, 0)),
    }
}

statement!(
    FORGET_KEYS,
    "with gone as (
       delete from hooks.idempotency_key as k
       where k.ctid = any (array(
         select o.ctid
         from hooks.idempotency_key as o
         where o.expires_at >= $1
           and o.expires_at <= now()
         order by o.expires_at
         limit 1000
         for update skip locked))
       returning k.expires_at
     )
     select max(g.expires_at) from gone as g"
);

/// Removes up to 1000 idempotency keys whose window has ended, at `from` or later: what is dead before that is not
/// walked again. Returns the latest end, if any went.
pub fn forget_keys(client: &mut SpiClient<'_>, from: Timestamp) -> Result<Option<Timestamp>, Failure> {
    let arguments = [to_postgres(from).into()];
    let rows = FORGET_KEYS.with(|statement| statement.run(client, &arguments))?;
    let latest = rows.into_iter().next().map(|row| optional(&row, 1));
    Ok(latest.transpose()?.flatten().map(from_postgres))
}
