//! One difference between what a target holds and what the roster wants, and whether it may be made.

use serde::{Deserialize, Serialize};

use crate::service::Action;
use crate::words;

words! {
    /// What a change does.
    Kind {
        /// A group the target lacks.
        CreateGroup = "create_group",
        /// A principal the target lacks.
        CreateUser = "create_user",
        /// Fields of a principal.
        UpdateUser = "update_user",
        /// Access given back.
        EnableUser = "enable_user",
        /// Access taken away by status.
        DisableUser = "disable_user",
        /// The principal is deleted.
        DeleteUser = "delete_user",
        /// Into a group or project.
        AddMember = "add_member",
        /// Another designation in a project.
        ChangeMember = "change_member",
        /// Out of a group or project.
        RemoveMember = "remove_member",
    }
}

words! {
    /// Why something is taken away.
    Removal {
        /// Nothing is.
        None = "none",
        /// The roster says so: `absent`, `suspended`, expired, or access disabled by a role.
        Explicit = "explicit",
        /// The roster does not mention it.
        Unlisted = "unlisted",
    }
}

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A principal.
    User {
        /// What it is known by on the target.
        key: String,
        /// The service's id, where the key is not enough.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
    /// A group.
    Group {
        /// Its name.
        name: String,
    },
    /// A principal in a group or project.
    Member {
        /// The group or project.
        container: String,
        /// The principal.
        key: String,
    },
}

impl Subject {
    /// A principal known well enough by its key.
    pub fn user(key: impl Into<String>) -> Self {
        Subject::User { key: key.into(), id: None }
    }

    /// The principal or group a person would name.
    pub fn key(&self) -> &str {
        match self {
            Subject::User { key, .. } | Subject::Member { key, .. } => key,
            Subject::Group { name } => name,
        }
    }

    /// Unique within a target.
    fn id(&self) -> String {
        match self {
            Subject::User { key, id: None } => format!("user/{key}"),
            Subject::User { key, id: Some(id) } => format!("user/{key}/{id}"),
            Subject::Group { name } => format!("group/{name}"),
            Subject::Member { container, key } => format!("member/{container}/{key}"),
        }
    }
}

/// One field of a change.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Field {
    /// Its name in the roster.
    pub name: String,
    /// What the target has; nothing where it lacks it.
    pub old: Option<String>,
    /// What it is to have.
    pub new: Option<String>,
}

/// Whether a change may go ahead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Verdict {
    /// It may.
    Ready,
    /// It cannot be made, or making it would do harm nobody asked for.
    Blocked {
        /// Why.
        reason: String,
        /// What a person can do instead.
        ways_out: Vec<String>,
    },
    /// A rule of the target holds it back.
    Held {
        /// Which rule.
        by: HeldBy,
        /// In words.
        reason: String,
    },
}

words! {
    /// The rules that hold changes back.
    HeldBy {
        /// `create-only` or `upsert-only`.
        Policy = "policy",
        /// `protected`.
        Protected = "protected",
        /// `max_removals`.
        RemovalCap = "max_removals",
        /// `removal_grace`.
        Grace = "removal_grace",
        /// The roster lists nobody on the target.
        EmptyRoster = "empty_roster",
        /// It was tried again and again and is still to be made.
        NotConverging = "not_converging",
    }
}

/// One difference between what a target holds and what the roster wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Unique within the plan, and the same in every plan: `target/kind/subject`.
    pub id: String,
    /// What it does.
    pub kind: Kind,
    /// What it is about.
    pub subject: Subject,
    /// The roster user, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The names that `scope` and `protected` are matched against.
    pub names: Vec<String>,
    /// Old and new.
    pub fields: Vec<Field>,
    /// The roles that cause it.
    pub roles: Vec<String>,
    /// Whether and why it takes something away.
    pub removal: Removal,
    /// Whether it may go ahead.
    pub verdict: Verdict,
    /// Ids of the changes that have to succeed before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// What is called.
    pub action: Action,
}

impl Change {
    /// A change with nothing said yet of who causes it and what goes before.
    pub fn new(target: &str, kind: Kind, subject: Subject, action: Action) -> Self {
        Change {
            id: Self::id_of(target, &subject, kind),
            kind,
            names: vec![subject.key().to_string()],
            subject,
            user: None,
            fields: Vec::new(),
            roles: Vec::new(),
            removal: Removal::None,
            verdict: Verdict::Ready,
            after: Vec::new(),
            action,
        }
    }

    /// The id a change of this subject has.
    pub fn id_of(target: &str, subject: &Subject, kind: Kind) -> String {
        let what = subject.id();
        match kind {
            Kind::CreateUser | Kind::CreateGroup | Kind::AddMember => format!("{target}/{what}"),
            _ => format!("{target}/{what}:{}", crate::word::Word::word(kind)),
        }
    }

    /// Says which roster user it is for and which roles cause it.
    pub fn caused_by(mut self, user: &str, roles: &[String]) -> Self {
        self.user = Some(user.to_string());
        self.roles = roles.to_vec();
        self
    }

    /// Adds a field with its old and new value.
    pub fn field(mut self, name: &str, old: Option<String>, new: Option<String>) -> Self {
        self.fields.push(Field { name: name.to_string(), old, new });
        self
    }

    /// Adds a name for scope and protection.
    pub fn named(mut self, name: &str) -> Self {
        if !name.is_empty() && !self.names.iter().any(|n| n == name) {
            self.names.push(name.to_string());
        }
        self
    }

    /// Says that it takes something away.
    pub fn removing(mut self, removal: Removal) -> Self {
        self.removal = removal;
        self
    }

    /// Says what has to succeed before.
    pub fn after(mut self, id: impl IntoIterator<Item = String>) -> Self {
        self.after.extend(id);
        self
    }

    /// Says why it cannot be made, and what a person can do.
    pub fn blocked(mut self, reason: impl Into<String>, ways_out: &[&str]) -> Self {
        let ways_out = ways_out.iter().map(ToString::to_string).collect();
        self.verdict = Verdict::Blocked { reason: reason.into(), ways_out };
        self
    }

    /// True when it may go ahead.
    pub fn is_ready(&self) -> bool {
        self.verdict == Verdict::Ready
    }
}
