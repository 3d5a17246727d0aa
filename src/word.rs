//! Closed sets of words: one declaration gives the enum, its spelling in files, on the wire and in
//! messages, and the list that a misspelling is compared with. And the number of a noun, and a text in one line.

/// A value written as one word of a closed set.
pub trait Word: Copy + 'static {
    /// Every value, in the order of the declaration.
    const ALL: &'static [Self];
    /// How it is spelt everywhere.
    fn word(self) -> &'static str;
    /// The value spelt so.
    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|w| w.word() == text)
    }
}

/// `1 call`, `2 calls`.
pub fn count(number: usize, noun: &str) -> String {
    let end = if noun.ends_with('s') { "es" } else { "s" };
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}{end}") }
}

/// A text in one line: nothing in it may forge lines of a log.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Declares an enum whose values are words.
#[macro_export]
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $text)] $variant,)+ }
        impl $crate::word::Word for $name {
            const ALL: &'static [Self] = &[$($name::$variant,)+];
            fn word(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad($crate::word::Word::word(*self))
            }
        }
    };
}
