//! Walking a TOML table: each `take` names a key, the right type and the problem if it is another;
//! [`Table::finish`] reports what nobody asked for. That way the list of valid keys is the code itself.

use std::borrow::Cow;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::{Place, Problem, Problems, Sources};

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// What the parser's byte offsets count from.
#[derive(Debug, Clone, Copy)]
struct Origin {
    file: u32,
    offset: usize,
}

impl Origin {
    fn place(self, span: Range<usize>) -> Place {
        Place::new(self.file, self.offset + span.start..self.offset + span.end)
    }
}

/// A TOML value and where it stands.
pub struct Value<'i> {
    value: DeValue<'i>,
    origin: Origin,
    /// Where it stands.
    pub place: Place,
}

/// One key of a table.
struct Entry<'i> {
    key: Cow<'i, str>,
    key_place: Place,
    value: Option<Value<'i>>,
}

/// A table being read.
pub struct Table<'i> {
    entries: Vec<Entry<'i>>,
    asked: Vec<&'static str>,
    /// How a message calls it, such as `targets.bi`.
    pub name: String,
    /// Where it stands.
    pub place: Place,
}

/// Parses a whole file; each syntax error becomes a problem.
pub fn parse<'s>(sources: &'s Sources, file: u32, problems: &mut Problems) -> Option<Table<'s>> {
    parse_piece(sources, file, 0..sources.text(file).len(), problems)
}

/// Parses a piece of a file that is TOML on its own.
pub fn parse_piece<'s>(
    sources: &'s Sources,
    file: u32,
    piece: Range<usize>,
    problems: &mut Problems,
) -> Option<Table<'s>> {
    let origin = Origin { file, offset: piece.start };
    let text = &sources.text(file)[piece];
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let place = origin.place(span.clone());
        let mut message = error.message().trim_end().to_string();
        if message == "duplicate key" {
            message = format!("duplicate key `{}`", text.get(span).unwrap_or_default());
        }
        problems.push(Problem::at(place, message).label("not valid TOML"));
    }
    errors.is_empty().then(|| Table::new(String::new(), origin.place(0..0), origin, root.into_inner()))
}

impl<'i> Table<'i> {
    fn new(name: String, place: Place, origin: Origin, table: DeTable<'i>) -> Self {
        let entries = table
            .into_iter()
            .map(|(key, value)| {
                let key_place = origin.place(key.span());
                let place = origin.place(value.span());
                Entry {
                    key: key.into_inner(),
                    key_place,
                    value: Some(Value { value: value.into_inner(), origin, place }),
                }
            })
            .collect();
        Table { entries, asked: Vec::new(), name, place }
    }

    /// Takes the value of `key` whatever its type.
    pub fn take(&mut self, key: &'static str) -> Option<Value<'i>> {
        self.asked.push(key);
        self.entries.iter_mut().find(|e| e.key == key).and_then(|e| e.value.take())
    }

    /// A string, if the key is there.
    pub fn string(&mut self, key: &'static str, problems: &mut Problems) -> Option<Located<String>> {
        self.take(key).and_then(|v| v.into_string(&self.path(key), problems))
    }

    /// `true` or `false`, if the key is there.
    pub fn boolean(&mut self, key: &'static str, problems: &mut Problems) -> Option<bool> {
        let path = self.path(key);
        let value = self.take(key)?;
        let read = value.as_bool();
        if read.is_none() {
            value.wrong(&path, "true or false", problems);
        }
        read
    }

    /// A string that has to be there.
    pub fn required(&mut self, key: &'static str, problems: &mut Problems) -> Option<Located<String>> {
        let here = self.entries.iter().any(|e| e.key == key);
        if !here {
            self.asked.push(key);
            let name = if self.name.is_empty() { "the file" } else { &self.name };
            problems.push(Problem::at(self.place, format!("`{key}` is missing in {name}")));
        }
        self.string(key, problems)
    }

    /// A table, if the key is there.
    pub fn table(&mut self, key: &'static str, problems: &mut Problems) -> Option<Table<'i>> {
        self.take(key).and_then(|v| v.into_table(self.path(key), problems))
    }

    /// Every entry of a table whose keys are names the user chose.
    pub fn into_named(self) -> impl Iterator<Item = (Located<String>, Value<'i>)> {
        self.entries
            .into_iter()
            .filter_map(|e| e.value.map(|v| (Located { value: e.key.into_owned(), place: e.key_place }, v)))
    }

    /// Reports each key that nothing asked for, with the nearest valid one.
    pub fn finish(self, problems: &mut Problems) {
        for entry in self.entries.iter().filter(|e| e.value.is_some() && !self.asked.contains(&&*e.key)) {
            let place =
                if self.name.is_empty() { "at the top level".into() } else { format!("in {}", self.name) };
            let mut problem = Problem::at(entry.key_place, format!("unknown key `{}` {place}", entry.key));
            if self.name.starts_with("users.") {
                // A value where a key should be.
                problem = problem.private(&entry.key);
            }
            problems.push(match super::nearest(&entry.key, self.asked.iter().copied()) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem.help(format!("valid keys here: {}", self.asked.join(", "))),
            });
        }
    }

    /// Where the value of a key stands, or the table where the key is not there.
    pub fn place_of(&self, key: &str) -> Place {
        let entry = self.entries.iter().find(|e| e.key == key);
        entry.and_then(|e| e.value.as_ref()).map_or(self.place, |v| v.place)
    }

    /// The dotted path of a key in this table.
    pub fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.into() } else { format!("{}.{key}", self.name) }
    }
}

impl<'i> Value<'i> {
    fn wrong(&self, path: &str, expected: &str, problems: &mut Problems) {
        let found = self.value.type_str();
        let problem = Problem::at(self.place, format!("`{path}` must be {expected}, found {found}"));
        let unquoted =
            expected == "a string" && matches!(found, "integer" | "float" | "boolean" | "datetime");
        problems.push(if unquoted { problem.help("put it in quotes") } else { problem });
    }

    /// True for `false` and `true`.
    pub fn as_bool(&self) -> Option<bool> {
        self.value.as_bool()
    }

    /// True for a string.
    pub fn is_string(&self) -> bool {
        self.value.is_str()
    }

    /// A string, or a problem.
    pub fn into_string(self, path: &str, problems: &mut Problems) -> Option<Located<String>> {
        let Value { origin, place, .. } = self;
        match self.value {
            DeValue::String(s) => Some(Located { value: s.into_owned(), place }),
            value => {
                Value { value, origin, place }.wrong(path, "a string", problems);
                None
            }
        }
    }

    /// A table, or a problem.
    pub fn into_table(self, path: String, problems: &mut Problems) -> Option<Table<'i>> {
        let Value { origin, place, .. } = self;
        match self.value {
            DeValue::Table(table) => Some(Table::new(path, place, origin, table)),
            value => {
                Value { value, origin, place }.wrong(&path, "a table", problems);
                None
            }
        }
    }

    /// A list of strings, or a problem for each entry that is none.
    pub fn into_strings(self, path: &str, problems: &mut Problems) -> Option<Vec<Located<String>>> {
        let Value { origin, place, .. } = self;
        match self.value {
            DeValue::Array(items) => Some(
                items
                    .into_iter()
                    .filter_map(|item| {
                        let place = origin.place(item.span());
                        Value { value: item.into_inner(), origin, place }.into_string(path, problems)
                    })
                    .collect(),
            ),
            value => {
                Value { value, origin, place }.wrong(path, "a list of strings", problems);
                None
            }
        }
    }

    /// A whole number that is not negative, or a problem.
    pub fn into_count(self, path: &str, problems: &mut Problems) -> Option<u64> {
        let number = self
            .value
            .as_integer()
            .and_then(|i| u64::from_str_radix(&i.as_str().replace('_', ""), i.radix()).ok());
        if number.is_none() {
            self.wrong(path, "a whole number that is not negative", problems);
        }
        number
    }

    /// A number that is not negative, whole or not, or a problem.
    pub fn into_number(self, path: &str, problems: &mut Problems) -> Option<f64> {
        let whole = self
            .value
            .as_integer()
            .and_then(|i| i64::from_str_radix(&i.as_str().replace('_', ""), i.radix()).ok());
        let float = || self.value.as_float().and_then(|f| f.as_str().replace('_', "").parse::<f64>().ok());
        let number = whole.map(|n| n as f64).or_else(float);
        let number = number.filter(|n| n.is_finite() && *n >= 0.0);
        if number.is_none() {
            self.wrong(path, "a number that is not negative", problems);
        }
        number
    }

    /// A calendar date, or a problem.
    pub fn into_date(self, path: &str, problems: &mut Problems) -> Option<Located<jiff::civil::Date>> {
        let date = self.value.as_datetime().filter(|d| d.time.is_none()).and_then(|d| d.date);
        let date = date.and_then(|d| {
            jiff::civil::Date::new(d.year.cast_signed(), d.month.cast_signed(), d.day.cast_signed()).ok()
        });
        if date.is_none() {
            self.wrong(path, "a date without quotes, such as 2027-06-30", problems);
        }
        date.map(|value| Located { value, place: self.place })
    }
}
