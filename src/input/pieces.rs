//! Cutting a large roster into pieces that are parsed one after the other: the parsed form of a TOML file
//! takes some thirty times the room of its text.
//!
//! A cut is made before a `[users.NAME]` header only, found by the TOML lexer, so never inside a string or an
//! array. Each piece is then a file of its own to the parser, like those of a roster folder. A file whose
//! tables would mean something else that way (a user, role or group continued after another's table) stays
//! whole. Forgiven that way is only what does no harm: the header `[users]` twice, say.

use std::ops::Range;

use toml_parser::Source;
use toml_parser::lexer::{Token, TokenKind};

/// A smaller file is not worth cutting.
const PIECE_BYTES: usize = 512 * 1024;

/// The pieces of a text, in order; together they are the text.
pub fn pieces(text: &str) -> Vec<Range<usize>> {
    let whole = || std::iter::once(0..text.len()).collect();
    if text.len() < 2 * PIECE_BYTES {
        return whole();
    }
    let mut pieces = Vec::new();
    let mut begin = 0;
    let mut last: Option<[&str; 2]> = None;
    for header in headers(text) {
        match header.path.as_slice() {
            [section, name] => {
                if *section == "users" && header.start - begin >= PIECE_BYTES {
                    pieces.push(begin..header.start);
                    begin = header.start;
                }
                last = Some([section, name]);
            }
            // A table that continues what another piece may have begun.
            [section, name, ..] if last != Some([section, name]) => return whole(),
            _ => {}
        }
    }
    pieces.push(begin..text.len());
    pieces
}

/// A `[a.b]` line.
struct Header<'t> {
    start: usize,
    path: Vec<&'t str>,
}

fn headers(text: &str) -> impl Iterator<Item = Header<'_>> {
    let mut tokens = Source::new(text).lex().peekable();
    let mut depth = 0_usize;
    let mut at_line_start = true;
    std::iter::from_fn(move || {
        loop {
            let token = tokens.next().filter(|t| t.kind() != TokenKind::Eof)?;
            match token.kind() {
                TokenKind::LeftSquareBracket if depth == 0 && at_line_start => {
                    let mut path = Vec::new();
                    // To the end of the line; what is not a name separates names.
                    while let Some(part) = tokens.next_if(|t| !ends_line(t)) {
                        let raw = &text[part.span().start()..part.span().end()];
                        match part.kind() {
                            TokenKind::Atom => path.push(raw),
                            TokenKind::BasicString | TokenKind::LiteralString => {
                                path.push(raw.get(1..raw.len() - 1).unwrap_or_default());
                            }
                            _ => {}
                        }
                    }
                    return Some(Header { start: token.span().start(), path });
                }
                TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => depth += 1,
                TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                    depth = depth.saturating_sub(1);
                }
                _ => {}
            }
            at_line_start = match token.kind() {
                TokenKind::Newline => true,
                TokenKind::Whitespace => at_line_start,
                _ => false,
            };
        }
    })
}

fn ends_line(token: &Token) -> bool {
    matches!(token.kind(), TokenKind::Newline | TokenKind::Comment | TokenKind::Eof)
}
