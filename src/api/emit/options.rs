//! The arguments of a trigger, for `hooks.watches`.

use pgrx::prelude::*;
use serde_json::Value;

use crate::api::queue;
use crate::api::row::shown;
use crate::domain::emission::{Columns, Emission, Name, Target, write_json_string};

/// The arguments as `pg_trigger.tgargs` holds them, each with a zero byte at its end, as a JSON object in
/// the encoding of the database.
#[pg_extern(sql = false)]
fn emit_options(arguments: &[u8]) -> Vec<u8> {
    let mut json = Object::new();
    let ended = arguments.split_inclusive(|byte| *byte == 0);
    let arguments = ended.map(|argument| argument.strip_suffix(&[0]).unwrap_or(argument));
    match Emission::parse(arguments) {
        Ok(emission) => match emission.headers.as_deref().map(queue::validate_header_text) {
            Some(Err(invalid)) => json.text("problem", invalid.parts().1.as_bytes()),
            _ => describe(&emission, &mut json),
        },
        Err(invalid) => json.text("problem", invalid.message(shown).as_bytes()),
    }
    json.end()
}

fn describe(emission: &Emission, json: &mut Object) {
    match &emission.target {
        Target::Queue(name) => json.text("queue", name),
        Target::Event(name) => json.text("event", name),
    }
    match &emission.columns {
        Columns::All => {}
        Columns::Only(names) => json.list("columns", names),
        Columns::AllBut(names) => json.list("exclude", names),
    }
    if !emission.ordering_key.is_empty() {
        json.list("ordering_key", &emission.ordering_key);
    }
    if let Some(headers) = &emission.headers {
        json.list("headers", &header_names(headers));
    }
}

/// Names only, as values may be secrets.
fn header_names(headers: &[u8]) -> Vec<Name> {
    match serde_json::from_str(&String::from_utf8_lossy(headers)) {
        Ok(Value::Object(headers)) => headers.keys().map(|name| name.as_bytes().to_vec()).collect(),
        _ => Vec::new(),
    }
}

/// A JSON object that is being written.
struct Object(Vec<u8>);

impl Object {
    fn new() -> Object {
        Object(Vec::new())
    }

    fn text(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        write_json_string(value, &mut self.0);
    }

    fn list(&mut self, name: &str, values: &[Name]) {
        self.name(name);
        self.0.push(b'[');
        for (place, value) in values.iter().enumerate() {
            if place > 0 {
                self.0.push(b',');
            }
            write_json_string(value, &mut self.0);
        }
        self.0.push(b']');
    }

    fn name(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        write_json_string(name.as_bytes(), &mut self.0);
        self.0.push(b':');
    }

    fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}
