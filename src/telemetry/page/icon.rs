//! Small drawings in the colour of the text around them. Each stands beside a word that says the same, so
//! that nothing hangs on the shape or on the colour; for a screen reader they are not there.

use maud::{Markup, html};

use super::verdict::Level;

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icon {
    /// As it should be.
    Check,
    /// Went wrong.
    Cross,
    /// Not equal: something differs.
    Differs,
    /// Two bars: held back.
    Held,
    /// Three dots: not there yet.
    Waiting,
    /// An exclamation mark: somebody has to look.
    Alert,
}

impl Icon {
    /// The strokes, on a square of 16 by 16.
    fn path(self) -> &'static str {
        match self {
            Icon::Check => "M3.5 8.5 6.5 11.5 12.5 4.5",
            Icon::Cross => "M4.5 4.5 11.5 11.5M11.5 4.5 4.5 11.5",
            Icon::Differs => "M3.5 6H12.5M3.5 10H12.5M10.5 3 5.5 13",
            Icon::Held => "M5.75 4V12M10.25 4V12",
            Icon::Waiting => "M3.5 8H3.6M8 8H8.1M12.4 8H12.5",
            Icon::Alert => "M8 3.5V8.75M8 12.25V12.3",
        }
    }

    /// The drawing, as high as the text.
    pub fn draw(self) -> Markup {
        html! {
            svg.icon viewBox="0 0 16 16" aria-hidden="true" focusable="false" {
                path d=(self.path()) {}
            }
        }
    }
}

/// The icon of the tab: the colour and the sign of the verdict, as a `data:` address.
pub fn favicon(level: Level) -> String {
    let (colour, icon) = match level {
        Level::Good => ("0b7a4b", Icon::Check),
        Level::Note => ("a35f00", Icon::Differs),
        Level::Bad => ("c0281f", Icon::Alert),
    };
    format!(
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
         %3Crect width='16' height='16' rx='4' fill='%23{colour}'/%3E\
         %3Cpath d='{}' fill='none' stroke='%23fff' stroke-width='2' stroke-linecap='round'/%3E%3C/svg%3E",
        icon.path()
    )
}
