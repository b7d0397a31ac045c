//! What the arguments of a trigger tell `hooks.emit()` to send, and to where.
//!
//! Names are bytes in the encoding of the database, in which all that means something here is ASCII.

mod names;
#[cfg(test)]
mod tests;

use std::fmt::Write;

/// A name in the encoding of the database.
pub type Name = Vec<u8>;

/// What changed the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Insert,
    Update,
    Delete,
    Truncate,
}

impl Operation {
    /// Its name in payloads and event types.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Insert => "insert",
            Operation::Update => "update",
            Operation::Delete => "delete",
            Operation::Truncate => "truncate",
        }
    }
}

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Queue(Name),
    /// A type of event, with `{op}`, `{schema}` and `{table}` to be filled in.
    Event(Name),
}

/// Which columns a message shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Columns {
    All,
    Only(Vec<Name>),
    AllBut(Vec<Name>),
}

/// The arguments of one trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emission {
    pub target: Target,
    pub columns: Columns,
    /// Columns whose values make the ordering key; none for messages without order.
    pub ordering_key: Vec<Name>,
    /// A JSON text, not looked into.
    pub headers: Option<Name>,
}

/// Arguments that say nothing, or several things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidEmission {
    NoTarget,
    SeveralTargets,
    UnknownOption(Name),
    RepeatedOption(Name),
    ColumnsAndExclude,
    InvalidList(Name),
    UnknownPlaceholder(Name),
}

impl Emission {
    /// Reads the arguments of a trigger: `name=value` each, the first one also a plain target.
    ///
    /// A plain target with a dot in it is a type of event, and one without is a queue.
    ///
    /// # Errors
    /// See [`InvalidEmission`].
    pub fn parse<'a>(arguments: impl IntoIterator<Item = &'a [u8]>) -> Result<Emission, InvalidEmission> {
        let mut options = Options::default();
        for (place, argument) in arguments.into_iter().enumerate() {
            match split_option(argument) {
                Some((name, value)) => options.set(name, value)?,
                None if place == 0 => options.set_plain_target(argument),
                None => return Err(InvalidEmission::UnknownOption(argument.to_vec())),
            }
        }
        options.emission()
    }
}

/// Values by option, as they are given.
#[derive(Default)]
struct Options<'a> {
    queue: Option<&'a [u8]>,
    event: Option<&'a [u8]>,
    columns: Option<&'a [u8]>,
    exclude: Option<&'a [u8]>,
    ordering_key: Option<&'a [u8]>,
    headers: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn set(&mut self, name: &'a [u8], value: &'a [u8]) -> Result<(), InvalidEmission> {
        let option = match name {
            b"queue" => &mut self.queue,
            b"event" => &mut self.event,
            b"columns" => &mut self.columns,
            b"exclude" => &mut self.exclude,
            b"ordering_key" => &mut self.ordering_key,
            b"headers" => &mut self.headers,
            _ => return Err(InvalidEmission::UnknownOption(name.to_vec())),
        };
        if option.replace(value).is_some() {
            return Err(InvalidEmission::RepeatedOption(name.to_vec()));
        }
        Ok(())
    }

    fn set_plain_target(&mut self, target: &'a [u8]) {
        if target.contains(&b'.') {
            self.event = Some(target);
        } else {
            self.queue = Some(target);
        }
    }

    fn emission(self) -> Result<Emission, InvalidEmission> {
        let target = match (self.queue, self.event) {
            (Some(queue), None) if !queue.is_empty() => Target::Queue(queue.to_vec()),
            (None, Some(event)) if !event.is_empty() => Target::Event(checked_template(event)?),
            (Some(_), Some(_)) => return Err(InvalidEmission::SeveralTargets),
            _ => return Err(InvalidEmission::NoTarget),
        };
        let columns = match (self.columns, self.exclude) {
            (None, None) => Columns::All,
            (Some(columns), None) => Columns::Only(list(b"columns", columns)?),
            (None, Some(exclude)) => Columns::AllBut(list(b"exclude", exclude)?),
            (Some(_), Some(_)) => return Err(InvalidEmission::ColumnsAndExclude),
        };
        let ordering_key = self.ordering_key.map(|key| list(b"ordering_key", key));
        Ok(Emission {
            target,
            columns,
            ordering_key: ordering_key.transpose()?.unwrap_or_default(),
            headers: self.headers.map(<[u8]>::to_vec),
        })
    }
}

/// Name and value of `name=value`; `None` for what begins with no such name.
fn split_option(argument: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = argument.iter().position(|byte| *byte == b'=')?;
    let (name, value) = argument.split_at(end);
    let is_name = name.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'_');
    is_name.then(|| (name, &value[1..]))
}

fn list(option: &[u8], names: &[u8]) -> Result<Vec<Name>, InvalidEmission> {
    names::parse(names).ok_or_else(|| InvalidEmission::InvalidList(option.to_vec()))
}

fn checked_template(event: &[u8]) -> Result<Name, InvalidEmission> {
    expand(event, Operation::Insert, b"", b"")?;
    Ok(event.to_vec())
}

/// The type of event for an operation on a table.
///
/// # Errors
/// A brace that belongs to no known placeholder.
pub fn expand(
    event: &[u8],
    operation: Operation,
    schema: &[u8],
    table: &[u8],
) -> Result<Name, InvalidEmission> {
    let mut expanded = Vec::with_capacity(event.len() + table.len());
    let mut rest = event;
    while let Some(open) = rest.iter().position(|byte| matches!(byte, b'{' | b'}')) {
        let (before, at_brace) = rest.split_at(open);
        let end = at_brace.iter().position(|byte| *byte == b'}');
        let (placeholder, after) = at_brace.split_at(end.map_or(at_brace.len(), |end| end + 1));
        expanded.extend_from_slice(before);
        expanded.extend_from_slice(match placeholder {
            b"{op}" => operation.name().as_bytes(),
            b"{schema}" => schema,
            b"{table}" => table,
            _ => return Err(InvalidEmission::UnknownPlaceholder(placeholder.to_vec())),
        });
        rest = after;
    }
    expanded.extend_from_slice(rest);
    Ok(expanded)
}

/// An ordering key of the values of some columns: one as it is, several joined by commas.
///
/// `None` when all are null or empty. A key of more than `most` bytes becomes its hash.
pub fn key(values: impl IntoIterator<Item = Option<Vec<u8>>>, most: usize) -> Option<Vec<u8>> {
    let parts: Vec<Vec<u8>> = values.into_iter().map(Option::unwrap_or_default).collect();
    if parts.iter().all(Vec::is_empty) {
        return None;
    }
    let bytes: usize = parts.iter().map(Vec::len).sum();
    if bytes + parts.len() - 1 <= most {
        return Some(parts.join(&b','));
    }
    // Not joined: values may be of any size.
    let joined = parts.iter().enumerate().flat_map(|(place, part)| {
        let comma = (place > 0).then_some(&b',');
        comma.into_iter().chain(part)
    });
    Some(format!("fnv1a:{:016x}", fnv1a(joined)).into_bytes())
}

/// The 64-bit FNV-1a hash, the same in every release.
fn fnv1a<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Appends a JSON string.
pub fn write_json_string(text: &[u8], json: &mut Vec<u8>) {
    json.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => json.extend_from_slice(&[b'\\', *byte]),
            0..0x20 => {
                let mut escape = String::with_capacity(6);
                // Writing to a string cannot fail.
                let _ = write!(escape, "\\u{byte:04x}");
                json.extend_from_slice(escape.as_bytes());
            }
            _ => json.push(*byte),
        }
    }
    json.push(b'"');
}

impl InvalidEmission {
    /// What is wrong; `shown` makes names printable.
    pub fn message(&self, shown: impl Fn(&[u8]) -> String) -> String {
        match self {
            InvalidEmission::NoTarget => "hooks.emit() is told neither a queue nor an event type".to_owned(),
            InvalidEmission::SeveralTargets => "hooks.emit() is told a queue and an event type".to_owned(),
            InvalidEmission::UnknownOption(name) => format!("option \"{}\" is not known", shown(name)),
            InvalidEmission::RepeatedOption(name) => format!("option \"{}\" is given twice", shown(name)),
            InvalidEmission::ColumnsAndExclude => "options columns and exclude exclude each other".to_owned(),
            InvalidEmission::InvalidList(name) => {
                format!("option \"{}\" is not a list of column names", shown(name))
            }
            InvalidEmission::UnknownPlaceholder(name) => {
                format!("placeholder \"{}\" is not known", shown(name))
            }
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            InvalidEmission::NoTarget | InvalidEmission::SeveralTargets => {
                "Give one target, such as hooks.emit('billing') for a queue or hooks.emit('order.{op}') for an event type."
            }
            InvalidEmission::UnknownOption(_) => {
                "Options are queue, event, columns, exclude, ordering_key and headers, each as 'name=value'."
            }
            InvalidEmission::RepeatedOption(_) => "Give each option once; columns are separated by commas.",
            InvalidEmission::ColumnsAndExclude => "Name the columns to send, or those to leave out.",
            InvalidEmission::InvalidList(_) => {
                "Separate names by commas, and put a name that holds a comma, a quote or a blank in double quotes."
            }
            InvalidEmission::UnknownPlaceholder(_) => "Placeholders are {op}, {schema} and {table}.",
        }
    }
}
