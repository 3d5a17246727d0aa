//! The language operations are described in, and the check of a request against such a description:
//! required members, types, lengths, patterns, enumerations, unknown members.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use regex::Regex;
use serde_json::{Map, Value};

use super::world::World;

/// One operation: its HTTP binding, its input, what it does.
pub struct Operation {
    /// `datazone`, `quicksight` or `finspace`.
    pub service: &'static str,
    /// As the model names it.
    pub name: &'static str,
    /// The HTTP method.
    pub method: &'static str,
    /// The path, with members in braces.
    pub path: &'static str,
    /// The status of a success.
    pub status: u16,
    /// The input members.
    pub input: &'static [Member],
    /// What it does.
    pub run: fn(&mut World, &Request) -> Result<Value, Refusal>,
}

/// One member of an input.
pub struct Member {
    pub name: &'static str,
    /// The name on the wire, where it is a query parameter or differs.
    pub query: Option<&'static str>,
    pub required: bool,
    pub shape: Shape,
}

/// What a member may hold.
#[derive(Clone, Copy)]
pub enum Shape {
    Text {
        min: usize,
        max: usize,
        pattern: &'static str,
    },
    OneOf(&'static [&'static str]),
    Integer {
        min: i64,
        max: i64,
    },
    Boolean,
    List {
        of: &'static Shape,
        min: usize,
        max: usize,
    },
    Structure(&'static [Member]),
    /// Exactly one of the members.
    Union(&'static [Member]),
}

/// Any text.
pub const TEXT: Shape = Shape::Text { min: 0, max: usize::MAX, pattern: "" };

/// A text with limits; an empty pattern is none.
pub const fn text(min: usize, max: usize, pattern: &'static str) -> Shape {
    Shape::Text { min, max, pattern }
}

/// A required member.
pub const fn required(name: &'static str, shape: Shape) -> Member {
    Member { name, query: None, required: true, shape }
}

/// An optional member.
pub const fn optional(name: &'static str, shape: Shape) -> Member {
    Member { name, query: None, required: false, shape }
}

impl Member {
    /// The same, in the query string.
    pub const fn query(self, query: &'static str) -> Member {
        Member { query: Some(query), ..self }
    }
}

/// A request that has passed the check.
pub struct Request {
    members: Map<String, Value>,
    /// The Region it was signed for.
    pub region: String,
    /// Calls of this operation under way, this one included.
    pub under_way: usize,
}

impl Request {
    /// A text, if it was given.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str)
    }

    /// A text the model requires.
    pub fn needed(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    /// Any value.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// The size of a page.
    pub fn page_size(&self, name: &str, otherwise: usize) -> usize {
        self.members.get(name).and_then(Value::as_u64).map_or(otherwise, |n| n as usize)
    }
}

/// An error answer.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub status: u16,
    pub code: String,
    pub message: String,
}

impl Refusal {
    /// An error of this code, with the HTTP status its service gives it.
    pub fn new(service: &str, code: &str, message: impl Into<String>) -> Refusal {
        let quicksight = service == "quicksight";
        let status = match code {
            "AccessDeniedException" if quicksight => 401,
            "AccessDeniedException" => 403,
            "UnauthorizedException" => 401,
            "ResourceNotFoundException" => 404,
            "ThrottlingException" => 429,
            "ConflictException" | "ResourceExistsException" => 409,
            "LimitExceededException" if quicksight => 409,
            "ServiceQuotaExceededException" => 402,
            "InternalServerException" | "InternalFailureException" => 500,
            "ResourceUnavailableException" | "SlowDown" | "ServiceUnavailable" => 503,
            "ExpiredTokenException"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "MissingAuthenticationTokenException" => 403,
            _ => 400,
        };
        Refusal { status, code: code.into(), message: message.into() }
    }

    /// "Not acceptable", in the words of the service.
    pub fn invalid(service: &str, message: impl Into<String>) -> Refusal {
        let code =
            if service == "quicksight" { "InvalidParameterValueException" } else { "ValidationException" };
        Refusal::new(service, code, message)
    }

    /// "Not there".
    pub fn missing(service: &str, what: impl std::fmt::Display) -> Refusal {
        Refusal::new(service, "ResourceNotFoundException", format!("{what} does not exist"))
    }
}

impl Operation {
    /// Checks path, query and body together.
    pub fn check(
        &self,
        path: &[(String, String)],
        query: &[(String, String)],
        body: &[u8],
        region: &str,
        under_way: usize,
    ) -> Result<Request, Refusal> {
        let refuse = |message: String| Err(Refusal::invalid(self.service, message));
        let mut members = Map::new();
        for (name, value) in path {
            members.insert(name.clone(), Value::String(value.clone()));
        }
        for (name, value) in query {
            let Some(member) = self.input.iter().find(|m| m.query == Some(name)) else {
                return refuse(format!("unknown query parameter '{name}'"));
            };
            let value = match member.shape {
                Shape::Integer { .. } => match value.parse::<i64>() {
                    Ok(number) => Value::from(number),
                    Err(_) => return refuse(format!("'{value}' at '{}' is no integer", member.name)),
                },
                _ => Value::String(value.clone()),
            };
            members.insert(member.name.into(), value);
        }
        if !body.is_empty() {
            let Ok(Value::Object(sent)) = serde_json::from_slice(body) else {
                return Err(Refusal::new(
                    self.service,
                    "SerializationException",
                    "the body is no JSON object",
                ));
            };
            for (name, value) in sent {
                let bound = self.path.contains(&format!("{{{name}}}"));
                let known = self.input.iter().any(|m| m.name == name && m.query.is_none());
                if bound || !known {
                    return refuse(format!("unknown member '{name}' in the body"));
                }
                if !value.is_null() {
                    members.insert(name, value);
                }
            }
        }
        structure(self.input, &members, "").map_err(|m| Refusal::invalid(self.service, m))?;
        Ok(Request { members, region: region.to_string(), under_way })
    }
}

fn structure(members: &[Member], values: &Map<String, Value>, at: &str) -> Result<(), String> {
    for member in members {
        let path = format!("{at}{}", member.name);
        match values.get(member.name) {
            Some(value) => check(&member.shape, value, &path)?,
            None if member.required => {
                return Err(format!(
                    "Value null at '{path}' failed to satisfy constraint: Member must not be null"
                ));
            }
            None => {}
        }
    }
    match values.keys().find(|name| !members.iter().any(|m| m.name == *name)) {
        Some(unknown) => Err(format!("unknown member '{at}{unknown}'")),
        None => Ok(()),
    }
}

fn check(shape: &Shape, value: &Value, at: &str) -> Result<(), String> {
    let failed =
        |what: String| Err(format!("Value '{value}' at '{at}' failed to satisfy constraint: {what}"));
    match (shape, value) {
        (Shape::Text { min, max, pattern }, Value::String(text)) => {
            let length = text.chars().count();
            if length < *min {
                failed(format!("Member must have length greater than or equal to {min}"))
            } else if length > *max {
                failed(format!("Member must have length less than or equal to {max}"))
            } else if !pattern.is_empty() && !matches(pattern, text) {
                failed(format!("Member must satisfy regular expression pattern: {pattern}"))
            } else {
                Ok(())
            }
        }
        (Shape::OneOf(words), Value::String(text)) => {
            if words.contains(&text.as_str()) {
                Ok(())
            } else {
                failed(format!("Member must satisfy enum value set: [{}]", words.join(", ")))
            }
        }
        (Shape::Integer { min, max }, Value::Number(number)) => match number.as_i64() {
            Some(n) if (*min..=*max).contains(&n) => Ok(()),
            _ => failed(format!("Member must be between {min} and {max}")),
        },
        (Shape::Boolean, Value::Bool(_)) => Ok(()),
        (Shape::List { of, min, max }, Value::Array(items)) => {
            if items.len() < *min || items.len() > *max {
                return failed(format!("Member must have between {min} and {max} entries"));
            }
            items
                .iter()
                .enumerate()
                .try_for_each(|(i, item)| check(of, item, &format!("{at}.{}.member", i + 1)))
        }
        (Shape::Structure(members), Value::Object(values)) => structure(members, values, &format!("{at}.")),
        (Shape::Union(members), Value::Object(values)) => {
            if values.len() == 1 {
                structure(members, values, &format!("{at}."))
            } else {
                failed("exactly one member of a union must be set".into())
            }
        }
        _ => failed("another type is expected".into()),
    }
}

/// Patterns hold for the whole text, as AWS applies them.
fn matches(pattern: &'static str, text: &str) -> bool {
    static COMPILED: OnceLock<Mutex<HashMap<&'static str, Regex>>> = OnceLock::new();
    let mut compiled = COMPILED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let regex = compiled.entry(pattern).or_insert_with(|| {
        Regex::new(&format!("^(?:{pattern})$")).expect("the patterns of the three service files compile")
    });
    regex.is_match(text)
}

/// One page of an ordered listing, and the token of the next: the key of the last entry, so that entries
/// that come and go between two pages shift nothing.
pub fn page<'w, V>(entries: impl Iterator<Item = (&'w String, V)>, size: usize) -> (Vec<V>, Option<String>) {
    let mut entries = entries.peekable();
    let mut page = Vec::new();
    let mut last = None;
    while page.len() < size
        && let Some((key, value)) = entries.next()
    {
        page.push(value);
        last = Some(key);
    }
    let token = entries.peek().and(last).map(|key| format!("page-{}", hex(key)));
    (page, token)
}

/// The key a token stands for; `Err` for a token this server never gave.
pub fn page_start(token: Option<&str>) -> Result<Option<String>, ()> {
    let Some(token) = token else { return Ok(None) };
    let hex = token.strip_prefix("page-").ok_or(())?;
    let bytes: Result<Vec<u8>, _> = (0..hex.len())
        .step_by(2)
        .map(|i| hex.get(i..i + 2).and_then(|b| u8::from_str_radix(b, 16).ok()).ok_or(()))
        .collect();
    String::from_utf8(bytes?).map(Some).map_err(drop)
}

fn hex(text: &str) -> String {
    text.bytes().map(|b| format!("{b:02x}")).collect()
}
