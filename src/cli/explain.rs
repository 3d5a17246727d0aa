//! `rosterd explain USER`: which role gives which access on each target, and what differs.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use clap::Args;

use super::context::Intent;
use super::context::state_text;
use super::observe::{Pass, Purpose, unread};
use super::{Exit, TargetOptions, shell};
use crate::config::Target;
use crate::plan::{Plan, render};
use crate::roster::resolve;
use crate::roster::schema::{Access, Roster, User};

#[derive(Debug, Args)]
pub struct Options {
    /// The user's id in the roster, or an e-mail address
    user: String,
    #[command(flatten)]
    targets: TargetOptions,
}

/// Explains one user.
pub async fn run(config: &Path, options: Options) -> anyhow::Result<Exit> {
    let pass = Pass::begin(config, &options.targets, Purpose::Somebody, Intent::Read).await?;
    let roster = pass.roster.as_ref().context("the roster was not kept")?;
    let Some((id, user)) = find(roster, &options.user) else {
        let ids = roster.users.keys().map(String::as_str);
        let hint = crate::input::nearest(&options.user, ids).map_or_else(
            || "ids are the keys under [users] in the roster".to_string(),
            |near| format!("did you mean `{near}`?"),
        );
        bail!("no user `{}` on the roster; {hint}", options.user);
    };
    let plan = pass.plan(false);
    let mut text = header(id, user);
    for target in pass.files.settings.targets.values() {
        explain(&mut text, roster, id, user, target, &plan, &pass);
    }
    shell::write(text.as_bytes())?;
    Ok(unread(&plan))
}

fn find<'r>(roster: &'r Roster, wanted: &str) -> Option<(&'r str, &'r User)> {
    let by_id = roster.users.get_key_value(wanted);
    let has_address = |u: &User| u.person.email.as_deref().is_some_and(|e| e.eq_ignore_ascii_case(wanted));
    let found = by_id.or_else(|| roster.users.iter().find(|(_, u)| has_address(u)));
    found.map(|(id, user)| (id.as_str(), &**user))
}

fn header(id: &str, user: &User) -> String {
    let bold = anstyle::Style::new().bold();
    let mut text = format!("{bold}{id}{bold:#}");
    if let Some(email) = &user.person.email {
        let _ = write!(text, "  {email}");
    }
    let roles: Vec<&str> = user.roles.iter().map(|r| r.value.as_str()).collect();
    let _ = writeln!(text, "  {}", state_text(user));
    let _ = writeln!(text, "  roles: {}\n", if roles.is_empty() { "none".into() } else { roles.join(", ") });
    text
}

fn explain(
    text: &mut String,
    roster: &Roster,
    id: &str,
    user: &User,
    target: &Target,
    plan: &Plan,
    pass: &Pass,
) {
    let bold = anstyle::Style::new().bold();
    let principal = pass.files.desired.get(&target.name).and_then(|d| d.principals().remove(id));
    let _ = writeln!(text, "{bold}{}{bold:#}  {}", target.name, target.place());
    let Some(principal) = principal else {
        let _ = writeln!(text, "  no role gives access here\n");
        return;
    };
    let _ = writeln!(text, "  as {principal}");
    for (role, access) in resolve::granted(roster, user, target) {
        for line in access_lines(&access) {
            let _ = writeln!(text, "  {role}: {line}");
        }
    }
    if let Some(missing) = plan.unobserved.iter().find(|u| u.target == target.name) {
        let _ = writeln!(text, "  not observed: {}\n", missing.error);
        return;
    }
    let of_user = plan.changes().filter(|c| c.user.as_deref() == Some(id));
    let changes: Vec<_> = of_user.filter(|c| c.id.starts_with(&format!("{}/", target.name))).collect();
    if changes.is_empty() {
        let _ = writeln!(text, "  in step");
    }
    for change in changes {
        let _ = writeln!(text, "  differs: {}", render::what(change));
        for line in render::why(change) {
            let _ = writeln!(text, "    {line}");
        }
    }
    text.push('\n');
}

/// What a role's block says, a line each.
fn access_lines(access: &Access) -> Vec<String> {
    let list = |items: &mut dyn Iterator<Item = &String>| items.cloned().collect::<Vec<_>>().join(", ");
    let mut lines = Vec::new();
    match access {
        Access::DataZone(a) => {
            lines.extend(a.access.map(|w| format!("access {w}")));
            let projects = a.projects.iter().flatten();
            lines
                .extend(projects.map(|(project, designation)| format!("project {project} as {designation}")));
        }
        Access::QuickSight(a) => {
            lines.extend(a.role.map(|r| format!("role {r}")));
            lines.extend(a.groups.as_ref().map(|g| format!("groups {}", list(&mut g.iter()))));
            lines.extend(a.custom_permissions.as_ref().map(|c| {
                c.as_ref().map_or_else(
                    || "no custom permissions".into(),
                    |name| format!("custom permissions {name}"),
                )
            }));
            lines.extend(a.tags.iter().map(|(key, value)| format!("tag {key} = {value}")));
        }
        Access::FinSpace(a) => {
            lines.extend(a.user_type.map(|t| format!("type {t}")));
            lines.extend(a.api_access.map(|w| format!("API access {w}")));
            lines
                .extend(a.api_access_principal_arn.as_ref().map(|arn| format!("API access principal {arn}")));
            lines.extend(
                a.permission_groups.as_ref().map(|g| format!("permission groups {}", list(&mut g.iter()))),
            );
        }
    }
    lines
}
