//! What went wrong last, and what to do about it.

use maud::{Markup, html};

use super::digits;
use super::time::moment;
use crate::daemon::status::Status;

/// The section of the last errors.
pub fn section(status: &Status) -> Markup {
    html! {
        h2 #errors-title { "Last errors" }
        @if status.errors.is_empty() {
            p.empty { "Nothing went wrong since rosterd started." }
        } @else {
            table.blocks.errors role="table" {
                caption.sr { "What went wrong last, newest first" }
                thead role="rowgroup" {
                    tr role="row" {
                        th scope="col" role="columnheader" { "Last seen" }
                        th scope="col" role="columnheader" { "Target" }
                        th scope="col" role="columnheader" { "Times" }
                        th scope="col" role="columnheader" { "What went wrong, and what to do" }
                    }
                }
                tbody role="rowgroup" {
                    @for note in &status.errors {
                        tr role="row" {
                            td.when role="cell" { (moment(status.now, note.at)) }
                            td.who role="cell" {
                                @match &note.target {
                                    Some(target) => (target),
                                    None => span.quiet { "rosterd" },
                                }
                            }
                            td.times role="cell" { (digits(u64::from(note.count))) "×" }
                            td.what role="cell" {
                                p { (note.message) }
                                @if !note.advice.is_empty() { p.advice { (note.advice) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
