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
            table.blocks.errors {
                caption.sr { "What went wrong last, newest first" }
                thead {
                    tr {
                        th scope="col" { "Last seen" }
                        th scope="col" { "Target" }
                        th scope="col" { "Times" }
                        th scope="col" { "What went wrong, and what to do" }
                    }
                }
                tbody {
                    @for note in &status.errors {
                        tr {
                            td.when { (moment(status.now, note.at)) }
                            td.who {
                                @match &note.target {
                                    Some(target) => (target),
                                    None => span.quiet { "rosterd" },
                                }
                            }
                            td.times { (digits(u64::from(note.count))) "×" }
                            td.what {
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
