//! Texts, places in them, and the problems found there.
//!
//! A [`Problem`] is collected, never thrown: the reader of a broken file wants all of its mistakes in
//! one go. Rendering is left to `annotate-snippets`, the crate behind rustc's own messages.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use sha2::{Digest as _, Sha256};

/// A larger file is refused before it is read: 64 MiB holds about 300,000 users.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What stands for something that is not shown.
pub const HIDDEN: &str = "(hidden)";

/// More problems than this are counted, not shown.
const SHOWN_MAX: usize = 100;

/// The files read so far. A [`Place`] points into one of them.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<(PathBuf, String)>,
}

/// A range of bytes in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    file: u32,
    start: u32,
    end: u32,
}

/// One mistake: what is wrong, where, and what to do about it.
#[derive(Debug, Clone)]
pub struct Problem {
    place: Option<Place>,
    message: String,
    label: Option<Box<str>>,
    help: Option<Box<str>>,
    also: Vec<(Place, String)>,
    /// Parts of the message that may say who a person is.
    private: Box<[String]>,
    warning: bool,
}

/// Every problem found so far, in the order of the text when rendered.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
}

impl Sources {
    /// Reads a file and keeps its text; the number is what [`Place::new`] wants.
    pub fn read(&mut self, path: &Path) -> Result<u32, Problem> {
        let unreadable = |why: String| {
            Problem::anywhere(format!("cannot read {}: {why}", path.display()))
                .help("check the path and that this user may read the file")
        };
        let meta = std::fs::metadata(path).map_err(|e| unreadable(e.to_string()))?;
        if !meta.is_file() {
            return Err(unreadable("it is no regular file".into()));
        }
        let length = meta.len().min(FILE_BYTES_MAX);
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 1);
        let opened = std::fs::File::open(path);
        let read = opened.and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
        read.map_err(|e| unreadable(e.to_string()))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            let message = format!("{} has more than {FILE_BYTES_MAX} bytes (64 MiB)", path.display());
            return Err(Problem::anywhere(message).help("split the roster into a folder of *.toml files"));
        }
        let text = String::from_utf8(bytes)
            .map_err(|e| unreadable(format!("byte {} is not UTF-8", e.utf8_error().valid_up_to())))?;
        Ok(self.add(path, text))
    }

    /// Keeps a text that did not come from a file (tests, the sample roster).
    pub fn add(&mut self, path: &Path, text: String) -> u32 {
        self.files.push((path.to_path_buf(), text));
        u32::try_from(self.files.len() - 1).expect("fewer files than u32::MAX")
    }

    /// The text of file number `file`.
    pub fn text(&self, file: u32) -> &str {
        &self.files[file as usize].1
    }

    /// SHA-256 over the files read so far, names and contents.
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        for (path, text) in &self.files {
            let name = path.as_os_str().as_encoded_bytes();
            hasher.update((name.len() as u64).to_le_bytes());
            hasher.update(name);
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text);
        }
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn snippet(&self, place: Place) -> (&str, usize, std::ops::Range<usize>, String) {
        let (path, text) = &self.files[place.file as usize];
        let start = (place.start as usize).min(text.len());
        let end = (place.end as usize).clamp(start, text.len());
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        let line = text[..line_start].matches('\n').count() + 1;
        let span = start - line_start..end.min(line_end) - line_start;
        (&text[line_start..line_end], line, span, path.display().to_string())
    }
}

impl Place {
    /// The number of the file it points into.
    pub fn file(self) -> u32 {
        self.file
    }

    /// A byte range in file number `file`.
    pub fn new(file: u32, span: std::ops::Range<usize>) -> Self {
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Place { file, start: narrow(span.start), end: narrow(span.end) }
    }
}

impl Problem {
    /// A mistake at a place.
    pub fn at(place: Place, message: impl Into<String>) -> Self {
        Problem { place: Some(place), ..Problem::anywhere(message) }
    }

    /// A mistake that no place in a file shows.
    pub fn anywhere(message: impl Into<String>) -> Self {
        Problem {
            place: None,
            message: message.into(),
            label: None,
            help: None,
            also: Vec::new(),
            private: Box::default(),
            warning: false,
        }
    }

    /// The words under the caret.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into().into());
        self
    }

    /// What to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into().into());
        self
    }

    /// "did you mean", when a candidate is near.
    pub fn suggest<'c>(self, word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Self {
        match super::nearest(word, candidates) {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None => self,
        }
    }

    /// Says which part of the message may say who a person is: it is left out where names are not shown.
    pub fn private(mut self, text: &str) -> Self {
        self.private = self.private.into_iter().chain([text.to_string()]).collect();
        self
    }

    /// A second place that has to do with it.
    pub fn also(mut self, place: Place, label: impl Into<String>) -> Self {
        self.also.push((place, label.into()));
        self
    }

    /// Worth saying, and no reason to stop.
    pub fn warning(mut self) -> Self {
        self.warning = true;
        self
    }

    /// The message in one line, without what is private and without what `hide` takes out.
    fn brief(&self, hide: &dyn Fn(&str) -> String) -> String {
        let mut message = self.message.clone();
        for private in self.private.iter().filter(|p| !p.is_empty()) {
            message = message.replace(private.as_str(), HIDDEN);
        }
        let help = self.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
        crate::word::one_line(&format!("{}{help}", hide(&message)))
    }

    fn brief_at(&self, sources: &Sources, hide: &dyn Fn(&str) -> String) -> String {
        let Some(place) = self.place else { return self.brief(hide) };
        let (_, line, span, path) = sources.snippet(place);
        format!("{path}:{line}:{}: {}", span.start + 1, self.brief(hide))
    }

    fn render(&self, sources: &Sources, renderer: &Renderer) -> String {
        let level = if self.warning { Level::WARNING } else { Level::ERROR };
        let mut group = annotate_snippets::Group::with_title(level.primary_title(&self.message));
        let spots = self
            .place
            .iter()
            .map(|p| (p, self.label.as_deref(), true))
            .chain(self.also.iter().map(|(place, label)| (place, Some(label.as_str()), false)));
        for (place, label, primary) in spots {
            let (source, line, span, path) = sources.snippet(*place);
            let kind = if primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            let mut annotation = kind.span(span);
            if let Some(label) = label {
                annotation = annotation.label(label);
            }
            group = group.element(Snippet::source(source).line_start(line).path(path).annotation(annotation));
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(&**help));
        }
        renderer.render(&[group])
    }
}

impl Problems {
    /// Notes a problem and goes on.
    pub fn push(&mut self, problem: Problem) {
        self.list.push(problem);
    }

    /// True when something stands against going on.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|p| !p.warning)
    }

    /// The messages alone, for tests and one-line logs.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|p| p.message.as_str())
    }

    /// How many errors and how many warnings there are.
    pub fn counts(&self) -> (usize, usize) {
        let warnings = self.list.iter().filter(|p| p.warning).count();
        (self.list.len() - warnings, warnings)
    }

    fn ordered(&self) -> Vec<&Problem> {
        let mut ordered: Vec<&Problem> = self.list.iter().collect();
        ordered.sort_by_key(|p| (p.warning, p.place));
        ordered
    }

    /// The messages without what may say who a person is; `hide` takes out what it knows to be private.
    pub fn brief_messages(&self, hide: &dyn Fn(&str) -> String) -> Vec<String> {
        self.list.iter().map(|p| p.brief(hide)).collect()
    }

    /// The errors, or where there are none the warnings: a line each with its place, without the line of the file
    /// there and without what may say who a person is.
    pub fn brief(&self, sources: &Sources, hide: &dyn Fn(&str) -> String) -> String {
        let mut ordered = self.ordered();
        if self.has_errors() {
            ordered.retain(|problem| !problem.warning);
        }
        let mut lines: Vec<String> =
            ordered.iter().take(SHOWN_MAX).map(|p| p.brief_at(sources, hide)).collect();
        if ordered.len() > SHOWN_MAX {
            lines.push(format!("… and {} more", ordered.len() - SHOWN_MAX));
        }
        lines.join("\n")
    }

    /// All of them as text, in the order of the files; styled only when `styled`.
    pub fn render(&self, sources: &Sources, styled: bool) -> String {
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        let ordered = self.ordered();
        let mut out = String::new();
        for problem in ordered.iter().take(SHOWN_MAX) {
            out.push_str(&problem.render(sources, &renderer));
            out.push_str("\n\n");
        }
        if ordered.len() > SHOWN_MAX {
            let _ = writeln!(out, "… and {} more", ordered.len() - SHOWN_MAX);
        }
        out
    }
}
