//! Large rosters are parsed in pieces, and nobody can tell.

use std::fmt::Write as _;

use rosterd::input::pieces::pieces;

use crate::support::*;

/// A roster of more than a megabyte, each user's table made by `user`.
fn large(user: impl Fn(usize, &mut String)) -> String {
    let mut text = String::from("[roles.r]\nquicksight = { role = \"READER\" }\n");
    let mut n = 0;
    while text.len() < 1_300_000 {
        let _ = write!(
            text,
            "\n[users.u{n}] # [users.x]\nemail = \"u{n}@example.com\"\nroles = [\n  \"r\",\n]\n"
        );
        user(n, &mut text);
        n += 1;
    }
    text
}

#[test]
fn pieces_are_the_whole_and_begin_with_a_user() {
    let hidden = "last_name = \"\"\"\n[users.nobody]\n[users.u1.on.bi]\n\"\"\"\n";
    let text = large(|n, text| {
        *text += hidden;
        let _ = write!(text, "[users.u{n}.on.bi]\nuser_name = \"n\"\n[users.\"u{n}\".on.\"b.c\"]\n");
    });
    let pieces = pieces(&text);
    assert!(pieces.len() >= 2, "{pieces:?}");
    let mut end = 0;
    for piece in &pieces {
        assert_eq!(piece.start, end);
        end = piece.end;
        let first = text[piece.clone()].lines().next().unwrap_or_default();
        assert!(piece.start == 0 || (first.starts_with("[users.u") && first.contains("] #")), "{first}");
    }
    assert_eq!(end, text.len());
}

#[test]
fn small_and_interleaved_files_stay_whole() {
    assert_eq!(pieces("[users.a]\n").len(), 1);
    let mut text = large(|_, _| {});
    assert!(pieces(&text).len() > 1);
    for continued in ["[users.u0.on.bi]", "[roles.r.targets.bi]", "[groups.g.quicksight]"] {
        let length = text.len();
        text += continued;
        text += "\n";
        assert_eq!(pieces(&text).len(), 1, "{continued}");
        text.truncate(length);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_any_piece_are_shown_where_they_are() {
    let bench = Bench::new(empty_world()).await;
    let mut text = large(|_, _| {});
    bench.files(&bi(""), &text);
    let users = text.matches("\n[users.u").count();
    bench.run(&["check"]).await.exits(0).says(&format!("{users} users"));
    let lines = text.lines().count();
    text += "[users.u3]\nemail = \"again@example.com\"\n[users.last]\nemial = \"last@example.com\"\n";
    bench.files(&bi(""), &text);
    let again = format!("roster.toml:{}:", lines + 1);
    let unknown = format!("roster.toml:{}:", lines + 4);
    let ran = bench.run(&["check"]).await.exits(1);
    ran.says("user `u3` is defined twice").says(&again).says("did you mean `email`?").says(&unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_that_is_not_toml_is_one_mistake() {
    let bench = Bench::new(empty_world()).await;
    let text = large(|_, _| {}).replacen("role = \"READER\"", "role = READER\"", 1);
    bench.files(&bi(""), &text);
    bench.run(&["check"]).await.exits(1).says("roster.toml:2:").never_says("unknown role").never_says("100 ");
}
