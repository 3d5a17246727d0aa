//! The supervisor's part in reloads: files looked at and read aside, taken over or refused, and taken anew when a
//! day begins.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::task::JoinError;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::generation::{Generation, Read, read_still};
use super::status::ErrorNote;
use super::supervisor::Supervisor;
use super::systemd;
use super::watch::{Fingerprint, Watch};
use crate::aside::aside;
use crate::roster::files::Invalid;

/// Who asked for a reload.
pub type Answer = oneshot::Sender<Result<(), String>>;

/// A disk that takes longer to read the files from does not answer.
pub const READING_MAX: Duration = Duration::from_secs(60);

impl Supervisor {
    /// The files were looked at.
    pub(super) fn looked(&mut self, look: Result<Fingerprint, JoinError>) {
        self.looking = None;
        // While they are being read they are compared with what they were before.
        if let Ok(look) = look
            && self.reading.is_none()
            && self.watch.look(look)
        {
            self.reload(None);
        }
    }

    /// `expires` counts from the beginning of a day.
    pub(super) fn another_day(&mut self, generation: &Generation, today: jiff::civil::Date) {
        match generation.on(today) {
            Ok(next) => self.take_over(next, None),
            Err(problem) => {
                self.refused_day = Some(today);
                let message = format!("on {today} the roster is not valid any more: {problem}");
                self.refuse(message, String::new());
            }
        }
    }

    /// Has the files read aside; whoever asks meanwhile has them read once more.
    pub(super) fn reload(&mut self, answer: Option<Answer>) {
        if self.shared.once {
            answer.map(|answer| answer.send(Err("one pass is made, with the files as they were".into())));
        } else if self.reading.is_some() {
            self.read_again.get_or_insert_default().extend(answer);
        } else {
            self.answers.extend(answer);
            systemd::reloading();
            let shared = Arc::clone(&self.shared);
            self.reading_since = Instant::now();
            self.reading = Some(tokio::task::spawn_blocking(move || {
                let (now, loaded, before) = (shared.now(), (shared.wall)(), shared.generation());
                read_still(&shared.config, now, loaded, Some(&before))
            }));
        }
    }

    pub(super) fn reloaded(&mut self, read: Result<Option<Read>, JoinError>) {
        self.reading = None;
        let is_next = |g: &Generation| g.number == self.shared.generation().number + 1;
        if let Ok(Some(Read { generation: Ok(generation), .. })) = &read
            && !is_next(generation)
        {
            // A day began meanwhile, and what was read is for the one before.
            return self.reload(None);
        }
        let result = match read {
            Ok(Some(Read { generation, fingerprint, roster })) => {
                self.watch = Watch::new(fingerprint);
                self.roster = roster;
                self.refused_day = None;
                match generation {
                    Ok(generation) => {
                        self.accept(generation);
                        Ok(())
                    }
                    Err(Invalid { brief, errors, .. }) => {
                        let what = crate::word::count(errors, "error");
                        let message =
                            format!("the files on disk have {what}; the last good ones stay in force");
                        self.refuse(message, brief.clone());
                        Err(brief)
                    }
                }
            }
            Ok(None) => {
                // The next look that shows them still has them read.
                self.watch = Watch::new(Fingerprint::default());
                info!("the files keep changing while they are read");
                Err("the files keep changing while they are read; they are read again when they are still"
                    .into())
            }
            Err(panicked) => {
                let message = format!("the files could not be read: {panicked}");
                self.refuse(message.clone(), String::new());
                Err(message)
            }
        };
        systemd::ready(&self.said);
        for answer in std::mem::take(&mut self.answers) {
            let _ = answer.send(result.clone());
        }
        if let Some(answers) = self.read_again.take() {
            self.reload(None);
            self.answers.extend(answers);
        }
    }

    pub(super) fn accept(&mut self, generation: Generation) {
        let before = self.shared.generation();
        if !generation.warnings.is_empty() && generation.warnings != before.warnings {
            generation.warnings.lines().for_each(|line| warn!("{line}"));
        }
        let loaded = generation.loaded;
        if generation.digest == before.digest && generation.day == before.day {
            info!(hash = generation.digest, "the files on disk are those in force");
            let needs_restart = generation.needs_restart(&self.first.settings);
            self.shared.board().take_over(&before, needs_restart, Some(loaded));
        } else {
            self.take_over(generation, Some(loaded));
        }
    }

    /// Another generation is in force; `read` where it was read from the disk just now.
    pub(super) fn take_over(&mut self, generation: Generation, read: Option<Timestamp>) {
        let shared = &self.shared;
        let before = shared.generation();
        let needs_restart = generation.needs_restart(&self.first.settings);
        if !needs_restart.is_empty() {
            warn!("{} changed and holds from the next start on", needs_restart.join(", "));
        }
        if generation.settings_digest != before.settings_digest {
            shared.door.pacer.renew(shared.now());
        }
        if let Some(stand_in) = &shared.stand_in {
            stand_in.provide(&generation);
        }
        aside(|| shared.store().move_to(generation.places()));
        shared.board().take_over(&generation, needs_restart, read);
        let (hash, users) = (generation.digest.clone(), generation.roster.users.len());
        let (targets, day) = (generation.settings.targets.len(), generation.day);
        shared.generation.send_replace(Arc::new(generation));
        info!(hash, users, targets, %day, "roster and settings are in force");
        self.start_loops();
    }

    pub(super) fn refuse(&self, message: String, text: String) {
        let shared = &self.shared;
        error!("{message}");
        text.lines().for_each(|line| error!("{line}"));
        let advice =
            "correct the files: `rosterd check` shows the same; they are read again when they change";
        let note = ErrorNote {
            at: (shared.wall)(),
            count: 1,
            target: None,
            message: message.clone(),
            advice: advice.into(),
        };
        let mut board = shared.board();
        board.refuse(if text.is_empty() { message } else { text });
        board.note(note);
    }
}
