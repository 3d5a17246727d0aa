//! What AWS's published models allow in each text a roster or the settings carry: length, pattern, an
//! example for the message. Checked offline, so that a typing mistake is found before any call is made.

use std::sync::OnceLock;

use regex::Regex;

use super::{Located, Problem, Problems};

/// The limits of one kind of text.
pub struct Rule {
    what: &'static str,
    min: usize,
    max: usize,
    pattern: &'static str,
    example: &'static str,
    compiled: OnceLock<Regex>,
}

/// Something to see, and no line break or other control character.
const ONE_LINE: &str = r"^[^\p{Cc}]*[^\p{Cc}\s][^\p{Cc}]*$";

/// `max` of texts whose model states none; a sane bound all the same.
const UNSTATED_MAX: usize = 2048;

impl Rule {
    const fn new(
        what: &'static str,
        min: usize,
        max: usize,
        pattern: &'static str,
        example: &'static str,
    ) -> Self {
        Rule { what, min, max, pattern, example, compiled: OnceLock::new() }
    }

    /// Why `text` does not fit, or nothing.
    pub fn objection(&self, text: &str) -> Option<String> {
        let length = text.chars().count();
        if length < self.min || length > self.max {
            let (min, max) = (self.min, self.max);
            return Some(format!("{} has {length} characters; it must have {min} to {max}", self.what));
        }
        let regex =
            self.compiled.get_or_init(|| Regex::new(self.pattern).expect("a pattern of this file compiles"));
        (!regex.is_match(text)).then(|| format!("`{text}` is no valid {}", self.what))
    }

    /// Notes a problem if the text does not fit; gives it back either way.
    pub fn check(&self, text: Located<String>, problems: &mut Problems) -> Located<String> {
        if let Some(objection) = self.objection(&text.value) {
            let help = format!("expected something like `{}`", self.example);
            problems.push(Problem::at(text.place, objection).help(help).private(&text.value));
        }
        text
    }
}

/// `domainIdentifier`.
pub static DATAZONE_DOMAIN: Rule =
    Rule::new("DataZone domain id", 1, 40, r"^dzd[-_][a-zA-Z0-9_-]{1,36}$", "dzd_4kq2examp1e");
/// `projectIdentifier` and `userCreatedDesignationId`.
pub static DATAZONE_PROJECT: Rule =
    Rule::new("DataZone project or designation id", 1, 36, r"^[a-zA-Z0-9_-]+$", "prj0analytics");
/// The user name of a single sign-on identity.
pub static SSO_USER: Rule =
    Rule::new("single sign-on user name", 1, 1024, r"^[a-zA-Z_0-9+=,.@-]+$", "alice@example.com");
/// An IAM user or role.
pub static IAM_ARN: Rule = Rule::new(
    "ARN of an IAM user or role",
    20,
    2048,
    r"^arn:aws[a-z-]*:iam::[0-9]{12}:(user|role)/[a-zA-Z0-9_+=,.@/-]+$",
    "arn:aws:iam::123456789012:role/Analyst",
);
/// What DataZone takes for an ARN: the commercial partition only.
pub static DATAZONE_ARN: Rule = Rule::new(
    "IAM ARN for DataZone",
    20,
    2048,
    r"^arn:aws:iam::[0-9]{12}:.+$",
    "arn:aws:iam::123456789012:role/Analyst",
);
/// What `assume_role` takes.
pub static ROLE_ARN: Rule = Rule::new(
    "ARN of an IAM role",
    20,
    2048,
    r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[a-zA-Z0-9_+=,.@/-]+$",
    "arn:aws:iam::123456789012:role/rosterd",
);
/// `ExternalId` of AssumeRole.
pub static EXTERNAL_ID: Rule = Rule::new("external id", 2, 1224, r"^[a-zA-Z0-9_+=,.@:/-]*$", "rosterd-prod");
/// The `principalId` that tells two IAM roles of one ARN apart.
pub static IAM_PRINCIPAL_ID: Rule =
    Rule::new("IAM principal id", 16, 128, r"^[A-Za-z0-9:_+=,.@-]+$", "AROAEXAMPLEEXAMPLE123");
/// `SessionName` of a role session.
pub static SESSION_NAME: Rule =
    Rule::new("session name", 2, 64, r"^[a-zA-Z0-9_+=.@-]*$", "alice@example.com");
/// `AwsAccountId`.
pub static ACCOUNT_ID: Rule = Rule::new("AWS account id", 12, 12, r"^[0-9]{12}$", "123456789012");
/// `Namespace`.
pub static QUICKSIGHT_NAMESPACE: Rule =
    Rule::new("QuickSight namespace", 1, 64, r"^[a-zA-Z0-9._-]*$", "default");
/// `UserName`; as a member of a group it may have 256 characters.
pub static QUICKSIGHT_USER_NAME: Rule =
    Rule::new("QuickSight user name", 1, 256, r"^[\u{20}-\u{FF}]+$", "alice@example.com");
/// `GroupName`.
pub static QUICKSIGHT_GROUP: Rule =
    Rule::new("QuickSight group name", 1, UNSTATED_MAX, r"^[\u{20}-\u{FF}]+$", "analysts");
/// `Description` of a QuickSight group.
pub static QUICKSIGHT_DESCRIPTION: Rule =
    Rule::new("QuickSight group description", 1, 512, r"(?s)^.*$", "People who build dashboards");
/// `CustomPermissionsName`.
pub static CUSTOM_PERMISSIONS: Rule =
    Rule::new("custom permissions name", 1, 64, r"^[a-zA-Z0-9+=,.@_-]+$", "no-export");
/// An e-mail address: QuickSight and rosterd want a part on each side of the @.
pub static EMAIL: Rule = Rule::new("e-mail address", 3, 320, r"^[^\s@]+@[^\s@]+$", "alice@example.com");
/// `emailAddress` of FinSpace: a top-level domain of two to four letters.
pub static FINSPACE_EMAIL: Rule = Rule::new(
    "FinSpace e-mail address (its top-level domain has 2 to 4 letters)",
    4,
    320,
    r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,4}$",
    "alice@example.com",
);
/// `firstName` and `lastName`.
pub static PERSON_NAME: Rule = Rule::new("first or last name", 1, 50, ONE_LINE, "Alice");
/// `apiAccessPrincipalArn`.
pub static FINSPACE_PRINCIPAL_ARN: Rule = Rule::new(
    "ARN of an IAM role",
    20,
    2048,
    r"^arn:aws[a-z\-]*:iam::[0-9]{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+$",
    "arn:aws:iam::123456789012:role/finspace-api",
);
/// `name` of a permission group.
pub static FINSPACE_GROUP: Rule = Rule::new("FinSpace permission group name", 1, 255, ONE_LINE, "quants");
/// `description` of a permission group.
pub static FINSPACE_DESCRIPTION: Rule =
    Rule::new("permission group description", 1, 4000, r"(?s)^.*$", "Quantitative analysts");
/// `Key` of a tag.
pub static TAG_KEY: Rule = Rule::new("tag key", 1, 128, r"(?s)^.*$", "team");
/// `Value` of a tag.
pub static TAG_VALUE: Rule = Rule::new("tag value", 1, 256, r"(?s)^.*$", "analytics");
/// `CustomFederationProviderUrl`.
pub static URL: Rule = Rule::new("URL", 9, UNSTATED_MAX, r"^https?://[^\s]+$", "https://idp.example.com");
/// `ExternalLoginId`.
pub static LOGIN_ID: Rule = Rule::new("id at the login provider", 1, UNSTATED_MAX, ONE_LINE, "alice");
/// A Region.
pub static REGION: Rule = Rule::new("AWS Region", 6, 32, r"^[a-z]{2,}(-[a-z]+)+-[0-9]+$", "eu-west-1");
/// A name a person gives in these files: users, roles, targets.
pub static NAME: Rule = Rule::new("name", 1, 128, r"^[A-Za-z0-9][A-Za-z0-9._@+-]*$", "alice");
