//! `cargo bench --bench pacing`: how much of a quota five ways of calling AWS use, and what they waste.
//!
//! Each row is a quota of the sandbox and a number of calls to make, each column a contestant:
//!
//! * the SDK's `standard` and `adaptive` retry modes as they are, driven by workers that call again what
//!   failed;
//! * a fixed pacer at 0.97 and at 1.1 times the quota at the start;
//! * rosterd's door.
//!
//! The first table runs in virtual time (tokio's, the sandbox in the process, 120 ms there and back and
//! up to 1 ms more each way), the second over HTTP in real time. Figures: the share of what the
//! quota gave that was used, from the first call to the last; the share of attempts that were throttled;
//! the time it took against the shortest possible, which uses up the burst, too.
//!
//! `cargo bench --bench pacing -- FILTER` runs the rows whose name contains FILTER; `-- virtual` and
//! `-- http` one table.

mod contestants;
mod rows;
mod server;

use std::process::ExitCode;

use contestants::Contestant;
use rows::{Figures, Row};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let wants = |what: &str| arguments.iter().all(|a| a == what || (a != "virtual" && a != "http"));
    let named = |row: &&Row| {
        arguments.iter().filter(|a| *a != "virtual" && *a != "http").all(|a| row.name.contains(a.as_str()))
    };
    let mut done = true;
    if wants("virtual") {
        println!("\nvirtual time");
        head();
        for row in rows::virtual_time().iter().filter(named) {
            done &= show(row, |contestant| rows::run_virtual(row, contestant));
        }
    }
    if wants("http") {
        println!("\nreal time, over HTTP");
        head();
        for row in rows::http().iter().filter(named) {
            let figures = rows::run_http(row);
            done &= show(row, |contestant| figures.iter().find(|(c, _)| *c == contestant).map(|(_, f)| *f));
        }
    }
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn head() {
    print!("| {:<32} |", "used / throttled / time");
    for contestant in Contestant::ALL {
        print!(" {:^23} |", contestant.name());
    }
    print!("\n|{}|", "-".repeat(34));
    for _ in Contestant::ALL {
        print!("{}|", "-".repeat(25));
    }
    println!();
}

fn show(row: &Row, figures: impl Fn(Contestant) -> Option<Figures>) -> bool {
    use std::io::Write as _;
    let mut done = true;
    print!("| {:<32} |", row.name);
    for contestant in Contestant::ALL {
        match figures(contestant) {
            Some(f) => {
                print!(" {:>6.1} % {:>5.1} % {:>5.2} |", f.used * 100.0, f.throttled * 100.0, f.time_to_ideal)
            }
            None => {
                done = false;
                print!(" {:^23} |", "gave up");
            }
        }
        let _ = std::io::stdout().flush();
    }
    println!();
    done
}
