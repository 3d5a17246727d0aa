//! The edge to the terminal: what is styled, how a question is asked, how a failure is printed.

use std::io::{IsTerminal as _, Write as _};

use anstream::{AutoStream, ColorChoice};
use clap::CommandFactory as _;

use super::{Cli, Exit};
use crate::word::Word;

/// True when escape codes reach a person.
pub fn is_styled<S: anstream::stream::RawStream>(stream: &AutoStream<S>) -> bool {
    stream.current_choice() != ColorChoice::Never
}

/// Prints a failure with what caused it.
pub fn fail(error: &anyhow::Error) -> Exit {
    let red = anstyle::AnsiColor::Red.on_default().bold();
    anstream::eprintln!("{red}error{red:#}: {error:#}");
    Exit::Failed
}

/// Parses one of a closed set of words.
pub fn word<W: Word>(text: &str) -> Result<W, String> {
    let words: Vec<&str> = W::ALL.iter().map(|w| w.word()).collect();
    W::parse(text).ok_or_else(|| format!("use one of: {}", words.join(", ")))
}

/// True when somebody is there to be asked.
pub fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Asks a question; only `yes` is yes.
pub fn confirm(question: &str) -> std::io::Result<bool> {
    anstream::print!("{question} Only `yes` is taken: ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

/// `rosterd completions SHELL`.
pub fn completions(shell: clap_complete::Shell) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "rosterd", &mut script);
    write(&script)
}

/// `rosterd man`.
pub fn man() -> anyhow::Result<Exit> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    write(&page)
}

/// Writes to standard output; a reader that has seen enough (`| head`) is no failure.
pub fn write(bytes: &[u8]) -> anyhow::Result<Exit> {
    let mut out = anstream::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(Exit::Done),
    }
}
