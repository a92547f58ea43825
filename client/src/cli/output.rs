//! How answers look: text from data, nothing else.

use client::ConnectionStatus;
use domain::{
    ConnectionPhase, ConnectionState, PauseReason, ReadPart, ResyncMode, ResyncRequest,
    TypeOutcome,
    api::{ObjectStatus, PauseStatus, RefusalStatus, RunStatus, StatusAnswer},
    progress::total_as_shown,
    reconcile::ReconcileCost,
};

/// Without control characters, so that what a server says cannot steer a terminal.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// `1234567` as `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Seconds as `7s`, `3m 05s`, `1h 02m` or `2d 03h`.
pub(crate) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if days > 0 {
        format!("{days}d {:02}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h {:02}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m {:02}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

/// Records per second; one decimal place where a whole number would hide the movement.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second >= 10.0 {
        // Far below 2^53; a float too large for it saturates.
        format!("{}/s", count(per_second.round() as u64))
    } else {
        format!("{:.1}/s", per_second.max(0.0))
    }
}

/// How far one object type is, as `12,000 of 20,000 (60%), 1,234/s, 7s left`.
pub(crate) fn progress(object: &ObjectStatus) -> String {
    if !has_begun(object) {
        return "nothing yet".to_owned();
    }
    let mut parts = vec![done_of_total(object)];
    if object.finished {
        parts.push(end(object).to_owned());
    } else {
        if object.rate_per_second > 0.0 {
            parts.push(rate(object.rate_per_second));
        }
        if let Some(eta) = object.eta_seconds {
            parts.push(format!("{} left", duration(eta)));
        }
    }
    if object.quarantined > 0 {
        parts.push(format!("{} in quarantine", count(object.quarantined)));
    }
    parts.extend(remarks(object));
    parts.join(", ")
}

/// What it costs to compare every record, and what that took so far.
fn reconcile(cost: &ReconcileCost) -> String {
    format!(
        "compare    every record once in {} h: {} requests and {} of associations; for {} of {} so far {} and {}",
        cost.every_hours,
        count(cost.expected.general),
        count(cost.expected.associations),
        count(cost.compared),
        count(cost.known),
        count(cost.measured.general),
        count(cost.measured.associations),
    )
}

/// How a type ended, in a word or two.
const fn end(object: &ObjectStatus) -> &'static str {
    match object.outcome {
        TypeOutcome::FinishedWithRefusals => "done with refusals",
        TypeOutcome::Incomplete => "incomplete",
        TypeOutcome::Skipped => "skipped",
        TypeOutcome::Refused => "refused",
        // A service that is older tells no outcome.
        TypeOutcome::Waiting | TypeOutcome::Reading | TypeOutcome::Finished => "done",
    }
}

/// What is not well with a type: refused, not answered, failing, standing still.
fn remarks(object: &ObjectStatus) -> Vec<String> {
    let mut remarks: Vec<String> = object.refusals.iter().map(refusal).collect();
    if object.unanswered > 0 {
        remarks.push(format!(
            "{} not answered by HubSpot, asked again by the next run",
            count(object.unanswered)
        ));
    }
    if let Some(trouble) = &object.trouble {
        let times = if trouble.times == 1 {
            "once".to_owned()
        } else {
            format!("{} times", count(trouble.times))
        };
        remarks.push(format!(
            "{} {times} since {}",
            trouble.code,
            trouble.since.format("%Y-%m-%d %H:%M:%S UTC")
        ));
    }
    if let Some(minutes) = object.no_progress_minutes {
        remarks.push(format!("no progress for {}", duration(minutes * 60)));
    }
    if let Some(none) = &object.none_found {
        remarks.push(format!(
            "none of {} known records is found since {} ({})",
            count(none.known),
            none.since.format("%Y-%m-%d %H:%M:%S UTC"),
            none.code
        ));
    }
    if let Some(fresh) = &object.freshness {
        if let Some(alarm) = &fresh.alarm {
            remarks.push(format!(
                "not brought up to date for {} ({alarm})",
                duration(fresh.age_seconds)
            ));
        }
        remarks.extend(fresh.refusals.iter().map(refusal));
        if fresh.unanswered > 0 {
            remarks.push(format!(
                "{} not answered by HubSpot, asked again by each sync",
                count(fresh.unanswered)
            ));
        }
    }
    remarks
}

fn refusal(refusal: &RefusalStatus) -> String {
    let what = match refusal.part {
        ReadPart::Whole => String::new(),
        part => format!("{} ", part.to_string().replace('_', " ")),
    };
    let why = match (&refusal.field, refusal.scopes.is_empty()) {
        (_, false) => format!("the scope {} was not granted", refusal.scopes.join(" or ")),
        (Some(field), true) => format!("HubSpot refuses {field}"),
        (None, true) => "HubSpot refuses it".to_owned(),
    };
    clean(&format!("{what}left out: {why} ({})", refusal.code))
}

/// A run of chosen types never begins the others.
const fn has_begun(object: &ObjectStatus) -> bool {
    object.done > 0 || object.finished || object.total.is_some() || object.quarantined > 0
}

fn done_of_total(object: &ObjectStatus) -> String {
    let done = count(object.done);
    match total_as_shown(object.done, object.total) {
        Some(total) if total > 0 && !object.finished => {
            let percent = u128::from(object.done) * 100 / u128::from(total);
            format!("{done} of {} ({percent}%)", count(total))
        }
        _ => done,
    }
}

/// One line of a watch that is not on a terminal.
pub(crate) fn plain_line(object: &ObjectStatus) -> String {
    format!("{}: {}", object.object_type, progress(object))
}

/// The whole answer to `status`, without the last line break.
pub(crate) fn status_text(status: &StatusAnswer) -> String {
    let mut lines = vec![format!("workspace  {}", status.workspace)];
    match status.portal {
        Some(portal) => lines.push(format!("portal     {portal}")),
        None => lines.push("portal     none yet; `hubspot-sync connect` connects one".to_owned()),
    }
    lines.push(format!("phase      {}", phase(status.phase)));
    if let Some(run) = &status.run {
        lines.push(format!("run        {}", run_text(run)));
    }
    if !status.import_enabled {
        lines.push("import     off; only what exports need is read".to_owned());
    }
    let oldest = status
        .objects
        .iter()
        .filter_map(|object| object.freshness.as_ref())
        .filter(|fresh| fresh.every_seconds.is_some())
        .max_by_key(|fresh| fresh.age_seconds);
    if let Some(fresh) = oldest {
        lines.push(format!(
            "up to date as of {} ago or less; HubSpot's clock said {}",
            duration(fresh.age_seconds),
            fresh.as_of.format("%Y-%m-%d %H:%M:%S UTC")
        ));
    }
    lines.extend(status.reconcile.iter().map(reconcile));
    if let Some(minutes) = status.no_progress_minutes {
        lines.push(format!("progress   none for {}", duration(minutes * 60)));
    }
    lines.extend(status.pauses.iter().map(pause));
    if !status.missing_scopes.is_empty() {
        lines.push(format!(
            "scopes     not granted: {}; what needs them is off",
            clean(&status.missing_scopes.join(", "))
        ));
    }
    if !status.objects.is_empty() {
        lines.push(String::new());
        lines.extend(table(&status.objects));
    }
    let remarks: Vec<String> = status
        .objects
        .iter()
        .flat_map(|object| {
            remarks(object)
                .into_iter()
                .map(|remark| format!("{}: {remark}", object.object_type))
        })
        .collect();
    if !remarks.is_empty() {
        lines.push(String::new());
        lines.extend(remarks);
    }
    lines.join("\n")
}

fn pause(pause: &PauseStatus) -> String {
    let until = pause.until.format("%Y-%m-%d %H:%M:%S UTC");
    match pause.reason {
        PauseReason::DailyLimit => format!(
            "paused     {} requests until {until}: the account's requests of the day are used up \
             (HS-3011)",
            pause.bucket
        ),
        PauseReason::RateLimited => format!(
            "paused     {} requests until {until}: others use HubSpot's limit too (HS-3002)",
            pause.bucket
        ),
    }
}

/// The answer of the workflow itself.
pub(crate) fn workflow_text(status: &ConnectionStatus) -> String {
    let mut lines = vec![
        format!("workspace  {}", status.workspace),
        format!("portal     {}", status.portal),
        format!("phase      {}", phase(status.phase)),
    ];
    if let Some(run) = status.run {
        lines.push(format!("run        {run}"));
    }
    lines.join("\n")
}

const fn phase(phase: ConnectionPhase) -> &'static str {
    match phase {
        ConnectionPhase::Connected => "connected; nothing was read yet",
        ConnectionPhase::Backfilling => "backfilling",
        ConnectionPhase::Syncing => "syncing; everything was read once",
        ConnectionPhase::NeedsReconnect => {
            "needs_reconnect; HubSpot refused the tokens, connect again"
        }
        ConnectionPhase::Disconnecting => "disconnecting; tokens are being erased",
        ConnectionPhase::Disconnected => "disconnected",
    }
}

fn run_text(run: &RunStatus) -> String {
    let ended = match run.finished_at {
        Some(at) => format!(", ended {}", at.format("%Y-%m-%d %H:%M:%S UTC")),
        None => String::new(),
    };
    format!(
        "{} {}, {}, asked for {}{ended}",
        run.kind.as_str(),
        run.run,
        clean(&run.state),
        run.requested_at.format("%Y-%m-%d %H:%M:%S UTC"),
    )
}

fn table(objects: &[ObjectStatus]) -> Vec<String> {
    let mut rows = vec![
        [
            "object type",
            "stored",
            "read",
            "rate",
            "left",
            "quarantined",
        ]
        .map(str::to_owned),
    ];
    rows.extend(objects.iter().map(|object| {
        let (rate, left) = if object.finished {
            (String::new(), end(object).to_owned())
        } else if has_begun(object) {
            (
                rate(object.rate_per_second),
                object.eta_seconds.map(duration).unwrap_or_default(),
            )
        } else {
            (String::new(), String::new())
        };
        [
            object.object_type.to_string(),
            count(object.stored),
            done_of_total(object),
            rate,
            left,
            count(object.quarantined),
        ]
    }));
    let widths: Vec<usize> = (0..6)
        .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0))
        .collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).enumerate();
            let line: Vec<String> = cells
                .map(|(column, (cell, width))| match column {
                    0 => format!("{cell:<width$}"),
                    _ => format!("{cell:>width$}"),
                })
                .collect();
            line.join("  ").trim_end().to_owned()
        })
        .collect()
}

/// What was asked for, for the answer to a signal.
pub(crate) fn resync_text(request: &ResyncRequest) -> String {
    let types = if request.types.is_empty() {
        "all object types".to_owned()
    } else {
        let wanted = request.wanted_types();
        let names: Vec<&str> = wanted.iter().map(|t| t.as_str()).collect();
        names.join(", ")
    };
    match request.mode {
        ResyncMode::CatchUp => format!("{types}, what changed"),
        ResyncMode::Since { since } => {
            format!("{types}, since {}", since.format("%Y-%m-%d %H:%M:%S UTC"))
        }
        ResyncMode::FromScratch => format!("{types}, from scratch"),
    }
}

/// Whether a watch goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Something is read, or will be in a moment.
    GoesOn,
    /// Everything was read.
    Done,
    /// Nothing more will come, for this reason.
    Ended(&'static str),
}

/// Whether anything is still to come.
pub(crate) fn verdict(status: &StatusAnswer) -> Verdict {
    let run_state = status.run.as_ref().map(|run| run.state.as_str());
    match status.phase {
        ConnectionPhase::Backfilling => Verdict::GoesOn,
        // A first run that ended badly leaves this phase for ever.
        ConnectionPhase::Connected => match run_state {
            Some("cancelled") => {
                Verdict::Ended("the run was cancelled; `hubspot-sync resync` reads again")
            }
            _ => Verdict::GoesOn,
        },
        ConnectionPhase::Syncing => match run_state {
            // A paused run goes on later, though nothing runs now.
            Some("queued" | "running" | "paused") => Verdict::GoesOn,
            _ => Verdict::Done,
        },
        ConnectionPhase::NeedsReconnect => {
            Verdict::Ended("HubSpot refused the tokens; `hubspot-sync connect` connects again")
        }
        ConnectionPhase::Disconnecting => Verdict::Ended("the workspace is being disconnected"),
        ConnectionPhase::Disconnected if status.state.is_none() => {
            Verdict::Ended("the workspace never connected; `hubspot-sync connect` connects it")
        }
        ConnectionPhase::Disconnected => {
            Verdict::Ended("the workspace is disconnected; `hubspot-sync connect` connects it")
        }
    }
}

/// Whether somebody has consented meanwhile.
pub(crate) fn is_connected(status: &StatusAnswer) -> bool {
    status.state == Some(ConnectionState::Connected)
}

#[cfg(test)]
pub(crate) mod tests {
    use domain::{BudgetBucket, RunKind, SyncType};

    use super::*;

    pub(crate) fn object(object_type: SyncType, done: u64, finished: bool) -> ObjectStatus {
        ObjectStatus {
            object_type,
            done,
            total: Some(20_000),
            rate_per_second: 1_234.4,
            eta_seconds: (!finished).then_some(7),
            finished,
            outcome: if finished {
                TypeOutcome::Finished
            } else {
                TypeOutcome::Reading
            },
            refusals: Vec::new(),
            unanswered: 0,
            trouble: None,
            no_progress_minutes: None,
            none_found: None,
            freshness: None,
            quarantined: 0,
            stored: done,
        }
    }

    pub(crate) fn status(phase: ConnectionPhase, objects: Vec<ObjectStatus>) -> StatusAnswer {
        StatusAnswer {
            workspace: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            portal: Some("1000001".parse().unwrap()),
            state: Some(ConnectionState::Connected),
            phase,
            missing_scopes: Vec::new(),
            pauses: Vec::new(),
            no_progress_minutes: None,
            import_enabled: true,
            reconcile: None,
            run: Some(RunStatus {
                run: "01890a5d-ac96-774b-bcce-b302099a8058".parse().unwrap(),
                kind: RunKind::Initial,
                state: "running".to_owned(),
                requested_at: "2026-09-01T00:00:00Z".parse().unwrap(),
                finished_at: None,
            }),
            objects,
        }
    }

    #[test]
    fn numbers_are_readable() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345, "12,345"),
            (1_234_567, "1,234,567"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(count(number), text);
        }
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (185, "3m 05s"),
            (3_720, "1h 02m"),
            (183_600, "2d 03h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
        for (per_second, text) in [
            (-1.0, "0.0/s"),
            (0.25, "0.2/s"),
            (9.96, "10.0/s"),
            (1_234.4, "1,234/s"),
        ] {
            assert_eq!(rate(per_second), text);
        }
    }

    #[test]
    fn progress_tells_what_is_known() {
        let mut contacts = object(SyncType::Contacts, 12_000, false);
        assert_eq!(
            plain_line(&contacts),
            "contacts: 12,000 of 20,000 (60%), 1,234/s, 7s left"
        );
        contacts.done = 20_001;
        contacts.quarantined = 3;
        assert_eq!(
            plain_line(&contacts),
            "contacts: 20,001 of 20,001 (100%), 1,234/s, 7s left, 3 in quarantine"
        );
        contacts.finished = true;
        assert_eq!(
            plain_line(&contacts),
            "contacts: 20,001, done, 3 in quarantine"
        );
        let unknown = ObjectStatus {
            total: None,
            rate_per_second: 0.0,
            eta_seconds: None,
            ..object(SyncType::Lists, 0, false)
        };
        assert_eq!(plain_line(&unknown), "lists: nothing yet");
        let begun = ObjectStatus { done: 3, ..unknown };
        assert_eq!(plain_line(&begun), "lists: 3");
    }

    #[test]
    fn the_status_is_a_table() {
        let mut answer = status(
            ConnectionPhase::Backfilling,
            vec![
                object(SyncType::Owners, 35, true),
                object(SyncType::Contacts, 12_000, false),
            ],
        );
        answer.missing_scopes = vec!["crm.lists.read".to_owned()];
        answer.pauses = vec![PauseStatus {
            bucket: BudgetBucket::Search,
            reason: PauseReason::DailyLimit,
            until: "2026-09-02T00:00:05Z".parse().unwrap(),
        }];
        let expected = "\
workspace  01890a5d-ac96-774b-bcce-b302099a8057
portal     1000001
phase      backfilling
run        initial 01890a5d-ac96-774b-bcce-b302099a8058, running, asked for 2026-09-01 00:00:00 UTC
paused     search requests until 2026-09-02 00:00:05 UTC: the account's requests of the day are used up (HS-3011)
scopes     not granted: crm.lists.read; what needs them is off

object type  stored                    read     rate  left  quarantined
owners           35                      35           done            0
contacts     12,000  12,000 of 20,000 (60%)  1,234/s    7s            0";
        assert_eq!(status_text(&answer), expected);
    }

    #[test]
    fn what_is_not_well_with_a_type_is_told() {
        let mut skipped = object(SyncType::Deals, 0, true);
        skipped.outcome = TypeOutcome::Skipped;
        skipped.refusals = vec![RefusalStatus {
            part: ReadPart::Whole,
            code: "HS-3004".parse().unwrap(),
            scopes: vec!["crm.objects.deals.read".to_owned()],
            field: None,
        }];
        assert_eq!(
            plain_line(&skipped),
            "deals: 0, skipped, left out: the scope crm.objects.deals.read was not granted (HS-3004)"
        );
        let mut stuck = object(SyncType::Contacts, 100, false);
        stuck.trouble = Some(domain::api::TroubleStatus {
            code: "HS-3001".parse().unwrap(),
            since: "2026-09-01T00:00:00Z".parse().unwrap(),
            last_at: "2026-09-01T00:12:00Z".parse().unwrap(),
            times: 14,
        });
        stuck.no_progress_minutes = Some(12);
        stuck.freshness = Some(domain::api::FreshnessStatus {
            as_of: "2026-09-01T00:00:00Z".parse().unwrap(),
            age_seconds: 2_460,
            every_seconds: Some(600),
            alarm: Some("HS-3030".parse().unwrap()),
            last: TypeOutcome::Reading,
            refusals: Vec::new(),
            unanswered: 2,
        });
        stuck.unanswered = 3;
        let text = status_text(&status(ConnectionPhase::Backfilling, vec![skipped, stuck]));
        for line in [
            "deals: left out: the scope crm.objects.deals.read was not granted (HS-3004)",
            "contacts: 3 not answered by HubSpot, asked again by the next run",
            "contacts: HS-3001 14 times since 2026-09-01 00:00:00 UTC",
            "contacts: no progress for 12m 00s",
            "contacts: not brought up to date for 41m 00s (HS-3030)",
            "contacts: 2 not answered by HubSpot, asked again by each sync",
            "up to date as of 41m 00s ago or less; HubSpot's clock said 2026-09-01 00:00:00 UTC",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in {text}");
        }
        let table_row = text.lines().find(|l| l.starts_with("deals "));
        assert!(table_row.unwrap().contains("skipped"));
    }

    #[test]
    fn a_workspace_that_never_connected_is_told_how_to() {
        let mut answer = status(ConnectionPhase::Disconnected, Vec::new());
        answer.portal = None;
        answer.state = None;
        answer.run = None;
        assert!(status_text(&answer).contains("hubspot-sync connect"));
        assert!(!is_connected(&answer));
        assert!(matches!(verdict(&answer), Verdict::Ended(why) if why.contains("never")));
    }

    #[test]
    fn what_the_server_says_cannot_steer_the_terminal() {
        let mut answer = status(ConnectionPhase::Backfilling, Vec::new());
        answer.missing_scopes = vec!["a\x1b[2Jb\r".to_owned()];
        answer.run.as_mut().unwrap().state = "run\x07ning\n".to_owned();
        let text = status_text(&answer);
        assert!(
            text.chars().all(|c| c == '\n' || !c.is_control()),
            "{text:?}"
        );
    }

    #[test]
    fn a_watch_goes_on_while_something_is_to_come() {
        use ConnectionPhase as P;
        let ended = |text: &'static str| move |v: Verdict| matches!(v, Verdict::Ended(why) if why.contains(text));
        let is = |expected: Verdict| move |v: Verdict| v == expected;
        type Check = Box<dyn Fn(Verdict) -> bool>;
        let table: Vec<(P, &str, Check)> = vec![
            (P::Connected, "queued", Box::new(is(Verdict::GoesOn))),
            (P::Connected, "cancelled", Box::new(ended("cancelled"))),
            (P::Backfilling, "running", Box::new(is(Verdict::GoesOn))),
            (P::Backfilling, "paused", Box::new(is(Verdict::GoesOn))),
            (P::Syncing, "finished", Box::new(is(Verdict::Done))),
            (P::Syncing, "paused", Box::new(is(Verdict::GoesOn))),
            (
                P::Syncing,
                "finished_with_refusals",
                Box::new(is(Verdict::Done)),
            ),
            (P::NeedsReconnect, "paused", Box::new(ended("refused"))),
            (P::Disconnecting, "cancelled", Box::new(ended("being"))),
            (
                P::Disconnected,
                "cancelled",
                Box::new(ended("is disconnected")),
            ),
        ];
        for (phase, state, check) in table {
            let mut answer = status(phase, Vec::new());
            answer.run.as_mut().unwrap().state = state.to_owned();
            assert!(check(verdict(&answer)), "{phase} {state}");
        }
    }

    #[test]
    fn a_resync_is_repeated_in_words() {
        let mut request = ResyncRequest::all();
        assert_eq!(resync_text(&request), "all object types, what changed");
        request.types = vec![SyncType::Deals, SyncType::Contacts];
        request.mode = ResyncMode::FromScratch;
        assert_eq!(resync_text(&request), "contacts, deals, from scratch");
        request.mode = ResyncMode::Since {
            since: "2026-09-01T00:00:00Z".parse().unwrap(),
        };
        assert_eq!(
            resync_text(&request),
            "contacts, deals, since 2026-09-01 00:00:00 UTC"
        );
    }
}
