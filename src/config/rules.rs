//! Reading what a target may be done to: policy, scope, protection, caps and grace.

use super::values::{duration, globs, whole, word};
use crate::input::{Problem, Problems, Table};
use crate::plan::guard::{OnUnlisted, Policy, RemovalCap, Rules, Scope};
use crate::service::{ServiceKind, Word};

pub fn read_rules(kind: Option<ServiceKind>, t: &mut Table<'_>, problems: &mut Problems) -> Option<Rules> {
    let (name, place) = (t.name.clone(), t.place);
    let policy = t.required("policy", problems).and_then(|s| word::<Policy>(&s, "policy", problems));
    let on_unlisted = t.string("on_unlisted", problems).and_then(|s| {
        let wish = word::<OnUnlisted>(&s, "on_unlisted", problems)?;
        let right = kind.is_none_or(|k| wish == OnUnlisted::Report || wish == OnUnlisted::removal_of(k));
        if !right && let Some(kind) = kind {
            let can = OnUnlisted::removal_of(kind).word();
            problems.push(
                Problem::at(s.place, format!("{} cannot {} a principal", kind.title(), wish.word()))
                    .help(format!("use `{can}` or `report`")),
            );
        }
        Some(wish)
    });
    let scope = t.table("scope", problems);
    let mut owns_something = false;
    let scope = scope.map_or_else(Scope::default, |mut s| {
        let include = globs(&mut s, "include", problems);
        let exclude = globs(&mut s, "exclude", problems);
        owns_something = include.as_ref().is_some_and(|i| !i.is_empty());
        s.finish(problems);
        Scope::new(include, exclude.unwrap_or_default())
    });
    let protected = globs(t, "protected", problems).unwrap_or_default();
    let cap = t.table("max_removals", problems).map_or_else(RemovalCap::default, |c| read_cap(c, problems));
    let removal_grace = duration(t, "removal_grace", problems).unwrap_or_default();
    if policy == Some(Policy::Sync) && on_unlisted.is_none() {
        problems.push(
            Problem::at(place, format!("`{name}` has policy `sync` and no `on_unlisted`"))
                .help("say what happens to a principal the roster does not list: `delete` (QuickSight), `disable` (DataZone, FinSpace) or `report`"),
        );
    }
    if policy == Some(Policy::Sync)
        && matches!(on_unlisted, Some(w) if w != OnUnlisted::Report)
        && !owns_something
    {
        problems.push(
            Problem::at(
                place,
                format!("`{name}` removes unlisted principals and does not say which are rosterd's"),
            )
            .help("add `scope = { include = [\"*@example.com\"] }`; `include = [\"*\"]` claims them all"),
        );
    }
    Some(Rules {
        policy: policy?,
        on_unlisted: on_unlisted.unwrap_or(OnUnlisted::Report),
        scope,
        protected: Scope::new(Some(protected), Vec::new()),
        cap,
        removal_grace,
    })
}

fn read_cap(mut t: Table<'_>, problems: &mut Problems) -> RemovalCap {
    let default = RemovalCap::default();
    let path = t.path("percent");
    let percent = t.take("percent").and_then(|v| v.into_number(&path, problems)).unwrap_or(default.percent);
    let count = whole(&mut t, "count", 0..=1_000_000, problems).map_or(default.count, |n| n as usize);
    let min_population = whole(&mut t, "min_population", 0..=1_000_000, problems)
        .map_or(default.min_population, |n| n as usize);
    if percent > 100.0 {
        problems.push(Problem::at(t.place, format!("`{path}` is more than 100")));
    }
    t.finish(problems);
    RemovalCap { percent, count, min_population }
}
