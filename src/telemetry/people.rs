//! Keeping names and addresses out of logs, and out of HTTP unless `status_page.show_people` is set.
//!
//! Roster ids are what the roster itself calls stable ids; they are shown. What a service knows a person by
//! (addresses, user names, ARNs with session names) is not.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

use regex::{Captures, Regex};

pub use crate::input::source::HIDDEN;
use crate::plan::{Change, Subject};
use crate::word::one_line;

/// The fields of changes that say who a person is.
const PERSONAL: &[&str] = &["email", "first_name", "last_name", "user_name", "identity", "external_login"];

static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"[^\s"'`<>(),;:/=|{}\[\]]+(@|%40)[^\s"'`<>(),;:/=|{}\[\]]+"#).expect("the pattern is valid")
});

/// What stands in an ARN for a person: the session of a role, a federated or IAM user, a QuickSight user.
static NAMED_IN_ARN: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r#"(:assumed-role/[^\s"'`/]+/|:federated-user/|:user/(?:[^\s"'`/]+/)*)([^\s"'`<>(),;/]+)"#;
    Regex::new(pattern).expect("the pattern is valid")
});

/// A text without addresses, and without those that ARNs name.
pub fn hide_addresses(text: &str) -> String {
    let hide = |found: &Captures<'_>| match &found[2] {
        // Everybody is nobody.
        "*" => found[0].to_string(),
        _ => format!("{}{HIDDEN}", &found[1]),
    };
    let text = NAMED_IN_ARN.replace_all(text, hide);
    ADDRESS.replace_all(&text, HIDDEN).into_owned()
}

/// A text about a change, without addresses and without what its principal is known by.
pub fn hide_principal(change: &Change, text: &str) -> String {
    let mut known: Vec<&str> = change.names.iter().map(String::as_str).collect();
    if !matches!(change.subject, Subject::Group { .. }) {
        known.push(change.subject.key());
    }
    if let Subject::User { id: Some(id), .. } = &change.subject {
        known.push(id);
    }
    for field in change.fields.iter().filter(|f| PERSONAL.contains(&f.name.as_str())) {
        known.extend(field.old.as_deref().into_iter().chain(field.new.as_deref()));
    }
    // Longer ones first: one may be part of another.
    known.sort_unstable_by_key(|name| std::cmp::Reverse(name.len()));
    let mut hidden = text.to_string();
    // The roster's own id is shown anyway.
    for name in known.into_iter().filter(|name| Some(*name) != change.user.as_deref()) {
        hidden = hide_word(&hidden, name);
    }
    one_line(&hide_addresses(&hidden))
}

/// Hides a word where it stands on its own, in whatever case.
fn hide_word(text: &str, word: &str) -> String {
    if word.is_empty() {
        return text.to_string();
    }
    let is_part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let mut out = String::with_capacity(text.len());
    let mut before = None;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match length_of(rest, word)
            .filter(|length| !is_part(before) && !is_part(rest[*length..].chars().next()))
        {
            Some(length) => {
                out.push_str(HIDDEN);
                before = rest[..length].chars().next_back();
                rest = &rest[length..];
            }
            None => {
                out.push(first);
                before = Some(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
}

/// How many bytes of a text are a word, in whatever case; nothing where it does not begin with it.
fn length_of(text: &str, word: &str) -> Option<usize> {
    let mut chars = text.chars();
    for wanted in word.chars() {
        chars.next().filter(|c| c.to_lowercase().eq(wanted.to_lowercase()))?;
    }
    Some(text.len() - chars.as_str().len())
}

/// The same change with nothing in it that says who a person is, for rendering.
pub fn anonymous(change: &Change) -> Change {
    let mut change = change.clone();
    let hide = |value: &mut Option<String>| {
        if value.is_some() {
            *value = Some(HIDDEN.to_string());
        }
    };
    for field in change.fields.iter_mut().filter(|f| PERSONAL.contains(&f.name.as_str())) {
        hide(&mut field.old);
        hide(&mut field.new);
    }
    change
}

/// Who a change is about, without a name: the roster's id, the group, or a number that stays the same while
/// rosterd runs.
pub fn stand_in(change: &Change) -> String {
    match (&change.user, &change.subject) {
        (Some(user), _) => id(user),
        (None, Subject::Group { name }) => name.clone(),
        (None, subject) => format!("unlisted {}", number(subject.key())),
    }
}

/// A roster id; an address that is used as one is a number.
pub fn id(user: &str) -> String {
    if user.contains('@') { format!("user {}", number(user)) } else { user.to_string() }
}

/// Not to be found by trying names: it is made with a secret of the process.
fn number(name: &str) -> String {
    static SECRET: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    format!("{:08x}", SECRET.hash_one(name) >> 32)
}
