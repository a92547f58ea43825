//! Asking for the status again and again, and showing it.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

use domain::{
    ConnectionPhase, ErrorCode, SyncType, TypeOutcome, WorkspaceId,
    api::{ObjectStatus, StatusAnswer},
};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{Instant, MissedTickBehavior};

use super::{
    args::Service,
    failure::Failure,
    output::{Verdict, clean, plain_line, progress, status_text, verdict},
};

// ---- polling ---------------------------------------------------------------------------------

/// How often to ask, and how long to bear silence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Polling {
    pub(crate) every: Duration,
    pub(crate) patience: Duration,
}

impl Default for Polling {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(1),
            patience: Duration::from_secs(60),
        }
    }
}

/// Asks until `enough` says so. The first question has to be answered; later on the service may be
/// away for as long as patience lasts.
pub(crate) async fn until(
    service: &Service,
    workspace: WorkspaceId,
    polling: Polling,
    mut enough: impl FnMut(&StatusAnswer) -> Result<bool, Failure>,
) -> Result<StatusAnswer, Failure> {
    let mut ticks = tokio::time::interval(polling.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut answered = None::<Instant>;
    loop {
        ticks.tick().await;
        match service.client.status(workspace).await {
            Ok(status) => {
                answered = Some(Instant::now());
                if enough(&status)? {
                    return Ok(status);
                }
            }
            Err(error) => {
                let bearable = error.is_temporary()
                    && answered.is_some_and(|at| at.elapsed() < polling.patience);
                if !bearable {
                    return Err(Failure::of(service, error));
                }
            }
        }
    }
}

/// Shows the progress until nothing more is to come.
pub(crate) async fn until_over(
    service: &Service,
    workspace: WorkspaceId,
    view: &mut dyn View,
    polling: Polling,
) -> Result<(), Failure> {
    let last = until(service, workspace, polling, |status| {
        view.show(status)?;
        Ok(verdict(status) != Verdict::GoesOn)
    })
    .await;
    // Bars must not stay half drawn when the watch ends by an error.
    view.close(last.as_ref().ok())?;
    match verdict(&last?) {
        Verdict::Ended(why) => Err(Failure::NotDone(why.to_owned())),
        Verdict::Done | Verdict::GoesOn => Ok(()),
    }
}

// ---- views -----------------------------------------------------------------------------------

/// One way to show a status that changes.
pub(crate) trait View {
    /// Shows what is new.
    fn show(&mut self, status: &StatusAnswer) -> io::Result<()>;
    /// Ends, with the last status where there is one.
    fn close(&mut self, last: Option<&StatusAnswer>) -> io::Result<()>;
}

/// JSON if asked for, bars on a terminal that can show them, lines elsewhere.
pub(crate) fn view(json: bool) -> Box<dyn View> {
    if json {
        return Box::new(JsonLines::new(io::stdout()));
    }
    let target = ProgressDrawTarget::stdout();
    if target.is_hidden() {
        Box::new(Lines::new(io::stdout()))
    } else {
        Box::new(Bars::new(target, io::stdout()))
    }
}

/// A line of JSON per change.
struct JsonLines<W> {
    out: W,
    last: Option<StatusAnswer>,
}

impl<W: Write> JsonLines<W> {
    const fn new(out: W) -> Self {
        Self { out, last: None }
    }
}

impl<W: Write> View for JsonLines<W> {
    fn show(&mut self, status: &StatusAnswer) -> io::Result<()> {
        if self.last.as_ref() != Some(status) {
            writeln!(self.out, "{}", serde_json::to_string(status)?)?;
            self.out.flush()?;
            self.last = Some(status.clone());
        }
        Ok(())
    }

    fn close(&mut self, _last: Option<&StatusAnswer>) -> io::Result<()> {
        Ok(())
    }
}

/// What a line is about; rate and time left change all the time and make no line of their own.
type Shown = (
    u64,
    Option<u64>,
    bool,
    u64,
    TypeOutcome,
    usize,
    Option<ErrorCode>,
    bool,
);

fn shown(object: &ObjectStatus) -> Shown {
    (
        object.done,
        object.total,
        object.finished,
        object.quarantined,
        object.outcome,
        object.refusals.len(),
        object.trouble.as_ref().map(|t| t.code.clone()),
        object.no_progress_minutes.is_some(),
    )
}

/// A line per object type that moved, without control characters.
struct Lines<W> {
    out: W,
    phase: Option<ConnectionPhase>,
    objects: BTreeMap<SyncType, Shown>,
}

impl<W: Write> Lines<W> {
    const fn new(out: W) -> Self {
        Self {
            out,
            phase: None,
            objects: BTreeMap::new(),
        }
    }
}

impl<W: Write> View for Lines<W> {
    fn show(&mut self, status: &StatusAnswer) -> io::Result<()> {
        if self.phase.replace(status.phase) != Some(status.phase) {
            writeln!(self.out, "phase: {}", status.phase)?;
        }
        for object in &status.objects {
            let now = shown(object);
            if self
                .objects
                .insert(object.object_type, now.clone())
                .as_ref()
                != Some(&now)
            {
                writeln!(self.out, "{}", clean(&plain_line(object)))?;
            }
        }
        self.out.flush()
    }

    fn close(&mut self, last: Option<&StatusAnswer>) -> io::Result<()> {
        match last {
            Some(status) => writeln!(self.out, "{}", status_text(status)),
            None => Ok(()),
        }
    }
}

/// A bar per object type.
struct Bars<W> {
    out: W,
    all: MultiProgress,
    bars: BTreeMap<SyncType, ProgressBar>,
}

impl<W: Write> Bars<W> {
    fn new(target: ProgressDrawTarget, out: W) -> Self {
        Self {
            out,
            all: MultiProgress::with_draw_target(target),
            bars: BTreeMap::new(),
        }
    }
}

impl<W: Write> View for Bars<W> {
    fn show(&mut self, status: &StatusAnswer) -> io::Result<()> {
        for object in &status.objects {
            match self.bars.get(&object.object_type) {
                Some(bar) => update(bar, object),
                None => {
                    // Complete before it is added, so that no half-made bar is ever drawn.
                    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())
                        .with_prefix(object.object_type.as_str());
                    update(&bar, object);
                    let bar = self.all.add(bar);
                    bar.tick();
                    self.bars.insert(object.object_type, bar);
                }
            }
        }
        Ok(())
    }

    fn close(&mut self, last: Option<&StatusAnswer>) -> io::Result<()> {
        self.all.clear()?;
        match last {
            Some(status) => writeln!(self.out, "{}", status_text(status)),
            None => Ok(()),
        }
    }
}

fn update(bar: &ProgressBar, object: &ObjectStatus) {
    if bar.is_finished() && !object.finished {
        // Another run has begun.
        bar.reset();
    }
    let length = if object.finished {
        Some(object.done)
    } else {
        object.total.map(|total| total.max(object.done))
    };
    match length {
        Some(length) => {
            bar.set_length(length);
            bar.set_style(style("{prefix:<10} [{bar:18}] {wide_msg}"));
        }
        None => bar.set_style(style("{prefix:<10} {spinner:<20} {wide_msg}")),
    }
    bar.set_position(object.done);
    bar.set_message(progress(object));
    if object.finished && !bar.is_finished() {
        bar.abandon();
    } else {
        bar.tick();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("a constant template")
        .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use domain::SyncType;

    use super::*;
    use crate::cli::output::tests::{object, status};

    fn written(view: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        view(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_written_for_what_moved_only() {
        let text = written(|out| {
            let mut lines = Lines::new(out);
            let mut answer = status(
                ConnectionPhase::Backfilling,
                vec![
                    object(SyncType::Contacts, 100, false),
                    object(SyncType::Deals, 5, false),
                ],
            );
            lines.show(&answer).unwrap();
            // The rate alone makes no line.
            answer.objects[0].rate_per_second = 1.0;
            lines.show(&answer).unwrap();
            answer.objects[1] = object(SyncType::Deals, 9, true);
            lines.show(&answer).unwrap();
            answer.phase = ConnectionPhase::Syncing;
            lines.show(&answer).unwrap();
        });
        assert_eq!(
            text,
            "phase: backfilling\n\
             contacts: 100 of 20,000 (0%), 1,234/s, 7s left\n\
             deals: 5 of 20,000 (0%), 1,234/s, 7s left\n\
             deals: 9, done\n\
             phase: syncing\n"
        );
    }

    #[test]
    fn lines_end_with_the_status() {
        let answer = status(ConnectionPhase::Syncing, Vec::new());
        let text = written(|out| Lines::new(out).close(Some(&answer)).unwrap());
        assert_eq!(text, format!("{}\n", status_text(&answer)));
        assert_eq!(written(|out| Lines::new(out).close(None).unwrap()), "");
    }

    #[test]
    fn json_is_one_line_per_change_that_reads_back() {
        let mut answer = status(
            ConnectionPhase::Backfilling,
            vec![object(SyncType::Contacts, 100, false)],
        );
        let text = written(|out| {
            let mut json = JsonLines::new(out);
            json.show(&answer).unwrap();
            json.show(&answer).unwrap();
            answer.phase = ConnectionPhase::Syncing;
            json.show(&answer).unwrap();
        });
        let lines: Vec<StatusAnswer> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1], answer);
    }

    #[test]
    fn bars_follow_the_status_and_start_again_with_another_run() {
        let bar = ProgressBar::hidden();
        update(&bar, &object(SyncType::Contacts, 12_000, false));
        assert_eq!((bar.position(), bar.length()), (12_000, Some(20_000)));
        assert!(bar.message().contains("7s left"));
        update(&bar, &object(SyncType::Contacts, 20_500, false));
        assert_eq!(bar.length(), Some(20_500));
        update(&bar, &object(SyncType::Contacts, 20_500, true));
        assert!(bar.is_finished());
        update(&bar, &object(SyncType::Contacts, 3, false));
        assert!(!bar.is_finished());
        assert_eq!((bar.position(), bar.length()), (3, Some(20_000)));
    }
}
