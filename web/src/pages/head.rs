//! How the connection stands, in one word: what every page says on top.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    ConnectionPhase, ConnectionState, PortalId, RunKind, SyncType, TypeOutcome, WorkspaceId,
    api::StatusAnswer,
};
use maud::{Markup, html};
use store::{PortalShown, ReasonCount};
use url::Url;

use crate::{
    api::connection::status_of,
    pages::{
        parts::{Tone, icon, pill, when},
        reasons,
        refused::Refused,
    },
    state::App,
};

/// What is nearer than this is a few seconds away.
const SOON: TimeDelta = TimeDelta::seconds(5);

/// How the connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There never was one.
    Never,
    /// Read for the first time; so many percent of what is known to be there.
    Importing(u8),
    /// Read again, as somebody asked for.
    Rereading(u8),
    InStep,
    /// A limit of HubSpot's is used up for now.
    Slowed,
    /// A type was not read to its end for too long, or does not get on.
    Behind,
    /// HubSpot refuses a part.
    InPart,
    /// The import was switched off.
    ImportOff,
    Reconnect,
    Disconnecting,
    Disconnected,
}

impl Standing {
    pub(crate) fn of(status: &StatusAnswer) -> Self {
        match status.state {
            None => return Self::Never,
            Some(ConnectionState::NeedsReconnect) => return Self::Reconnect,
            Some(ConnectionState::Disconnecting) => return Self::Disconnecting,
            Some(ConnectionState::Disconnected) => return Self::Disconnected,
            Some(ConnectionState::Connected) => {}
        }
        let reading = status.phase != ConnectionPhase::Syncing;
        let first = status
            .run
            .as_ref()
            .is_none_or(|run| run.kind == RunKind::Initial);
        if reading && first {
            return Self::Importing(percent(status));
        }
        let refused = |o: TypeOutcome| {
            matches!(
                o,
                TypeOutcome::Refused | TypeOutcome::Skipped | TypeOutcome::FinishedWithRefusals
            )
        };
        let fresh = |o: &domain::api::ObjectStatus| o.freshness.as_ref().map(|f| f.last);
        if !status.pauses.is_empty() {
            Self::Slowed
        } else if !status.import_enabled && !reading {
            // What is not read falls behind; that is as it was asked for.
            Self::ImportOff
        } else if status.no_progress_minutes.is_some() || status.objects.iter().any(is_behind) {
            Self::Behind
        } else if reading {
            Self::Rereading(percent(status))
        } else if status
            .objects
            .iter()
            .any(|o| refused(fresh(o).unwrap_or(o.outcome)))
        {
            Self::InPart
        } else {
            Self::InStep
        }
    }

    /// Icon and word.
    pub(crate) fn pill(self) -> Markup {
        match self {
            Self::Never => html! {},
            Self::Importing(percent) => {
                pill(Tone::Info, icon::SYNC, format!("Importing {percent} %"))
            }
            Self::Rereading(percent) => {
                pill(Tone::Info, icon::SYNC, format!("Reading again {percent} %"))
            }
            Self::InStep => pill(Tone::Ok, icon::CHECK, "In step"),
            Self::Slowed => pill(Tone::Warn, icon::SLOW, "Slowed"),
            Self::Behind => pill(Tone::Warn, icon::CLOCK, "Behind"),
            Self::InPart => pill(Tone::Warn, icon::WARN, "In step, in part"),
            Self::ImportOff => pill(Tone::Plain, icon::STOP, "Import off"),
            Self::Reconnect => pill(Tone::Error, icon::KEY, "Reconnect"),
            Self::Disconnecting => pill(Tone::Plain, icon::STOP, "Disconnecting"),
            Self::Disconnected => pill(Tone::Plain, icon::STOP, "Disconnected"),
        }
    }

    /// Whether HubSpot may be called.
    pub(crate) const fn is_connected(self) -> bool {
        !matches!(
            self,
            Self::Never | Self::Reconnect | Self::Disconnecting | Self::Disconnected
        )
    }
}

/// Whether a type was not read to its end for too long, or stands still.
pub(crate) fn is_behind(object: &domain::api::ObjectStatus) -> bool {
    object.no_progress_minutes.is_some()
        || object.freshness.as_ref().is_some_and(|f| f.alarm.is_some())
}

/// Of what is known to be there. Never all of it before all is read.
fn percent(status: &StatusAnswer) -> u8 {
    let known = status.objects.iter().filter(|o| o.total.is_some());
    let (done, total) = known.fold((0, 0), |(done, total), o| {
        let of = o.total.unwrap_or_default();
        (done + o.done.min(of), total + of)
    });
    let percent = (done * 100).checked_div(total).unwrap_or(0).min(100);
    let all = status.objects.iter().all(|o| o.finished);
    u8::try_from(percent)
        .unwrap_or(100)
        .min(if all { 100 } else { 99 })
}

/// An address in a portal's own pages. What HubSpot said where these are is a host of HubSpot's, or it is not
/// led to; where the app itself is elsewhere (a simulator), so are the portal's pages.
fn portal_address(app: &Url, said: Option<&str>, portal: PortalId, path: &str) -> String {
    let is_hubspots = |host: &str| {
        host.ends_with(".hubspot.com")
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
    };
    let base = match said {
        Some(host) if is_hubspots(host) && app.host_str().is_some_and(is_hubspots) => {
            format!("https://{host}")
        }
        _ => app.origin().ascii_serialization(),
    };
    format!("{base}/contacts/{portal}{path}")
}

/// A type, as people call it.
pub(crate) const fn type_name(sync_type: SyncType) -> &'static str {
    match sync_type {
        SyncType::Owners => "Owners",
        SyncType::Properties => "Properties",
        SyncType::Pipelines => "Pipelines",
        SyncType::Contacts => "Contacts",
        SyncType::Companies => "Companies",
        SyncType::Deals => "Deals",
        SyncType::Lists => "Lists",
        SyncType::Engagements => "Recent engagements",
    }
}

/// How many problems the navigation counts at most.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Problems {
    pub(crate) open: u64,
    pub(crate) more: bool,
}

/// What every page says of the connection.
pub(crate) struct Head {
    pub(crate) status: StatusAnswer,
    pub(crate) standing: Standing,
    pub(crate) portal: Option<PortalShown>,
    pub(crate) problems: Problems,
    pub(crate) now: DateTime<Utc>,
    hubspot: Url,
}

impl Head {
    pub(crate) async fn of(app: &App, workspace: WorkspaceId) -> Result<Self, Refused> {
        let store = &app.parts()?.store;
        let status = status_of(app, workspace).await?;
        let failed = reasons::problems();
        let counted = store.count_reasons(workspace, &failed, None).await?;
        let activities = store.count_activity_reasons(workspace, &failed).await?;
        let counted: Vec<ReasonCount> = counted.into_iter().chain(activities).collect();
        let quarantined: u64 = status.objects.iter().map(|o| o.quarantined).sum();
        Ok(Self {
            standing: Standing::of(&status),
            portal: store.portal_shown(workspace).await?,
            problems: Problems {
                open: quarantined + counted.iter().map(|c| c.requests).sum::<u64>(),
                more: counted.iter().any(|c| c.more),
            },
            status,
            now: Utc::now(),
            hubspot: app.hubspot.app_url.clone(),
        })
    }

    /// What people call the portal: its domain, else its number.
    pub(crate) fn portal_name(&self) -> Option<String> {
        let named = self.portal.as_ref().and_then(|p| p.name.hub_domain.clone());
        named.or_else(|| self.status.portal.map(|portal| portal.to_string()))
    }

    /// An address in the portal's own pages.
    pub(crate) fn in_portal(&self, path: &str) -> Option<String> {
        let portal = self.status.portal?;
        let said = self
            .portal
            .as_ref()
            .and_then(|p| p.name.ui_domain.as_deref());
        Some(portal_address(&self.hubspot, said, portal, path))
    }

    /// When what changed was read last, over the types that are read at every turn.
    fn last_sync(&self) -> Option<DateTime<Utc>> {
        let shortest = self.turns().map(|(_, every)| every).min()?;
        self.turns()
            .filter(|(_, every)| *every == shortest)
            .map(|(as_of, _)| as_of)
            .min()
    }

    /// When it is read next at the latest, if all goes well.
    fn next_sync(&self) -> Option<DateTime<Utc>> {
        let shortest = self.turns().map(|(_, every)| every).min()?;
        Some(self.last_sync()? + TimeDelta::try_seconds(i64::try_from(shortest).ok()?)?)
    }

    fn turns(&self) -> impl Iterator<Item = (DateTime<Utc>, u64)> {
        let fresh = self
            .status
            .objects
            .iter()
            .filter_map(|o| o.freshness.as_ref());
        fresh.filter_map(|f| Some((f.as_of, f.every_seconds?)))
    }

    /// The line under the product's name.
    pub(crate) fn line(&self) -> Markup {
        html! {
            p .meta .dots {
                @if let (Some(portal), Some(link)) = (self.status.portal, self.in_portal("")) {
                    @if let Some(name) = self.portal.as_ref().and_then(|p| p.name.hub_domain.as_ref()) {
                        span { a href=(link) rel="noreferrer" { bdi { (name) } } }
                        span { "Portal " (portal) }
                    } @else {
                        span { a href=(link) rel="noreferrer" { "Portal " (portal) } }
                    }
                } @else {
                    span { "Not connected yet" }
                }
                @match self.standing {
                    Standing::Never => {}
                    Standing::Disconnected | Standing::Disconnecting => {
                        @if let Some(portal) = &self.portal {
                            span { "Since " (when(portal.changed_at, self.now)) }
                        }
                    }
                    Standing::Importing(_) => {
                        @if let Some(portal) = &self.portal {
                            span { "Connected " (when(portal.connected_at, self.now)) }
                        }
                        span { "First sync when the import is done" }
                    }
                    _ => {
                        @if let Some(last) = self.last_sync() {
                            span { "Last sync " (when(last, self.now)) }
                        }
                        @if self.standing.is_connected() && let Some(next) = self.next_sync() {
                            @if next > self.now + SOON { span { "Next " (when(next, self.now)) } }
                            @else { span { "Next in a few seconds" } }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::{
        PauseReason,
        api::{FreshnessStatus, ObjectStatus, PauseStatus, RunStatus},
    };

    use super::*;

    fn object(done: u64, total: Option<u64>, finished: bool) -> ObjectStatus {
        ObjectStatus {
            none_found: None,
            object_type: SyncType::Contacts,
            done,
            total,
            rate_per_second: 0.0,
            eta_seconds: None,
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
            freshness: None,
            quarantined: 0,
            stored: done,
        }
    }

    fn status(phase: ConnectionPhase, kind: RunKind, objects: Vec<ObjectStatus>) -> StatusAnswer {
        StatusAnswer {
            reconcile: None,
            workspace: WorkspaceId::new(uuid::Uuid::nil()),
            portal: None,
            state: Some(ConnectionState::Connected),
            phase,
            missing_scopes: Vec::new(),
            pauses: Vec::new(),
            no_progress_minutes: None,
            import_enabled: true,
            run: Some(RunStatus {
                run: domain::SyncRunId::new(uuid::Uuid::nil()),
                kind,
                state: "running".to_owned(),
                requested_at: DateTime::UNIX_EPOCH,
                finished_at: None,
            }),
            objects,
        }
    }

    #[test]
    fn the_word_follows_the_facts() {
        use ConnectionPhase as P;
        let half = || vec![object(50, Some(100), false), object(0, None, false)];
        let read = || vec![object(100, Some(100), true)];
        let first = status(P::Backfilling, RunKind::Initial, half());
        assert_eq!(Standing::of(&first), Standing::Importing(50));
        // All that is known to be there is read, and yet it is not at its end.
        let late = status(
            P::Backfilling,
            RunKind::Initial,
            vec![object(100, Some(100), false)],
        );
        assert_eq!(Standing::of(&late), Standing::Importing(99));
        let again = status(P::Backfilling, RunKind::Resync, half());
        assert_eq!(Standing::of(&again), Standing::Rereading(50));

        let mut in_step = status(P::Syncing, RunKind::Initial, read());
        assert_eq!(Standing::of(&in_step), Standing::InStep);
        in_step.import_enabled = false;
        assert_eq!(Standing::of(&in_step), Standing::ImportOff);
        in_step.no_progress_minutes = Some(90);
        assert_eq!(Standing::of(&in_step), Standing::ImportOff);
        in_step.no_progress_minutes = None;
        in_step.import_enabled = true;
        in_step.objects[0].outcome = TypeOutcome::Skipped;
        assert_eq!(Standing::of(&in_step), Standing::InPart);
        in_step.objects[0].freshness = Some(FreshnessStatus {
            as_of: DateTime::UNIX_EPOCH,
            age_seconds: 9,
            every_seconds: Some(1),
            alarm: Some(domain::ErrorCode::stale()),
            last: TypeOutcome::Finished,
            refusals: Vec::new(),
            unanswered: 0,
        });
        assert_eq!(Standing::of(&in_step), Standing::Behind);
        in_step.import_enabled = false;
        assert_eq!(Standing::of(&in_step), Standing::ImportOff);
        in_step.pauses.push(PauseStatus {
            bucket: domain::BudgetBucket::Search,
            reason: PauseReason::RateLimited,
            until: DateTime::UNIX_EPOCH,
        });
        assert_eq!(Standing::of(&in_step), Standing::Slowed);
        for (state, want) in [
            (None, Standing::Never),
            (Some(ConnectionState::NeedsReconnect), Standing::Reconnect),
            (
                Some(ConnectionState::Disconnecting),
                Standing::Disconnecting,
            ),
            (Some(ConnectionState::Disconnected), Standing::Disconnected),
        ] {
            in_step.state = state;
            assert_eq!(Standing::of(&in_step), want);
        }
    }

    #[test]
    fn a_portals_pages_are_where_hubspot_says_or_where_the_app_is() {
        let portal = PortalId::new(7).unwrap();
        let address =
            |app: &str, said| portal_address(&Url::parse(app).unwrap(), said, portal, "/contact/1");
        let hubspot = "https://app.hubspot.com";
        for (app, said, expected) in [
            (
                hubspot,
                None,
                "https://app.hubspot.com/contacts/7/contact/1",
            ),
            (
                hubspot,
                Some("app-eu1.hubspot.com"),
                "https://app-eu1.hubspot.com/contacts/7/contact/1",
            ),
            // Nobody is led elsewhere by an answer.
            (
                hubspot,
                Some("evil.example"),
                "https://app.hubspot.com/contacts/7/contact/1",
            ),
            (
                hubspot,
                Some("evil.example/x.hubspot.com"),
                "https://app.hubspot.com/contacts/7/contact/1",
            ),
            (
                "http://127.0.0.1:4000",
                Some("app.hubspot.com"),
                "http://127.0.0.1:4000/contacts/7/contact/1",
            ),
        ] {
            assert_eq!(address(app, said), expected, "{app} {said:?}");
        }
    }
}
