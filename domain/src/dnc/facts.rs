//! What is known of contacts, companies and deals, as far as the rules ask.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::{
    HubSpotObjectId, HubSpotOwnerId,
    app::value::{parse_date, parse_datetime},
    portal::{ListId, PortalPipeline},
    times::is_plausible,
};

/// When something was, as HubSpot wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Day {
    /// A moment; which day that is depends on the portal's time zone.
    At(DateTime<Utc>),
    /// A day of the calendar.
    On(NaiveDate),
    /// It has to be, or was, and nobody knows when.
    Unknown,
}

impl Day {
    /// Reads a value of HubSpot's; none for an empty one.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        if let Some(day) = parse_date(text) {
            return Some(Self::On(day));
        }
        let at = parse_datetime(text)
            .or_else(|| text.parse().ok().and_then(DateTime::from_timestamp_millis))
            .filter(|at| is_plausible(*at));
        Some(at.map_or(Self::Unknown, Self::At))
    }
}

/// How days are counted: by the portal's time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    now: DateTime<Utc>,
    zone: Option<Tz>,
}

impl Calendar {
    /// For a moment and the name of a time zone, such as `US/Eastern`. Of a zone that is not known, or
    /// has no known name, days are counted in UTC, and one more counts as within, as it may be another
    /// day there.
    pub fn new(now: DateTime<Utc>, zone: Option<&str>) -> Self {
        Self {
            now,
            zone: zone.and_then(|name| name.parse().ok()),
        }
    }

    fn day_of(&self, at: DateTime<Utc>) -> NaiveDate {
        match self.zone {
            Some(zone) => at.with_timezone(&zone).date_naive(),
            None => at.date_naive(),
        }
    }

    /// Today, at the portal.
    pub fn today(&self) -> NaiveDate {
        self.day_of(self.now)
    }

    /// When the portal's day is over; verdicts have to be looked at again then.
    pub fn day_ends(&self) -> DateTime<Utc> {
        let tomorrow = self.today() + TimeDelta::days(1);
        let midnight = tomorrow.and_time(chrono::NaiveTime::MIN);
        let Some(zone) = self.zone else {
            return midnight.and_utc();
        };
        // Where the clock is put forward at midnight, the day begins an hour later.
        (0..=3)
            .find_map(|hours| {
                (midnight + TimeDelta::hours(hours))
                    .and_local_timezone(zone)
                    .earliest()
            })
            .map_or(self.now + TimeDelta::days(1), |at| at.to_utc())
    }

    /// Whether something was within so many days before today, or lies ahead.
    pub fn within(&self, day: Day, days: u32) -> bool {
        let day = match day {
            Day::At(at) => self.day_of(at),
            Day::On(day) => day,
            Day::Unknown => return true,
        };
        let slack = i64::from(self.zone.is_none());
        self.today().signed_duration_since(day).num_days() <= i64::from(days) + slack
    }

    /// The day as a person reads it; nothing for one that is not known.
    pub fn shown(&self, day: Day) -> Option<String> {
        match day {
            Day::At(at) => Some(self.day_of(at).to_string()),
            Day::On(day) => Some(day.to_string()),
            Day::Unknown => None,
        }
    }
}

/// How a deal stands.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DealStatus {
    /// Not closed, as far as is known.
    Open,
    /// Closed, and won.
    Won,
    /// Closed, and not won.
    Lost,
}

impl DealStatus {
    /// By the stage's definition; where that is gone or was never read, by HubSpot's own flags on the
    /// deal; else open, which no rule takes for the milder.
    pub fn of(
        pipelines: Option<&[PortalPipeline]>,
        pipeline: Option<&str>,
        stage: Option<&str>,
        closed: bool,
        won: bool,
    ) -> Self {
        let defined = pipelines
            .into_iter()
            .flatten()
            .filter(|p| Some(p.id.as_str()) == pipeline)
            .flat_map(|p| &p.stages)
            .find(|s| Some(s.id.as_str()) == stage);
        let (closed, won) = defined.map_or((closed, won), |s| (s.closed, s.won));
        match (closed, won) {
            (false, _) => Self::Open,
            (true, true) => Self::Won,
            (true, false) => Self::Lost,
        }
    }
}

/// A deal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DealFacts {
    /// Which one.
    pub id: HubSpotObjectId,
    /// How it stands.
    pub status: DealStatus,
    /// Its pipeline.
    pub pipeline: Option<String>,
    /// Its stage.
    pub stage: Option<String>,
    /// When it was closed, or is to be.
    pub close: Day,
}

/// A list that suppresses whoever is on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListFacts {
    /// Which one.
    pub list: ListId,
    /// Whether HubSpot has it no more; its members stay suppressed.
    pub gone: bool,
}

/// When a rep was in touch (I10); HubSpot keeps it on the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Touches {
    /// The last call, meeting, or message of a person.
    pub contacted: Option<Day>,
    /// The last meeting that was booked.
    pub meeting: Option<Day>,
    /// What is planned next.
    pub next: Option<Day>,
}

impl Touches {
    /// The first that was within so many days, or lies ahead.
    pub fn within(&self, calendar: &Calendar, days: u32) -> Option<Day> {
        [self.contacted, self.meeting, self.next]
            .into_iter()
            .flatten()
            .find(|day| calendar.within(*day, days))
    }
}

/// A contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactFacts {
    /// Which one.
    pub id: HubSpotObjectId,
    /// Whether it lies in the recycle bin, or was merged away.
    pub archived: bool,
    /// Its lifecycle stage.
    pub lifecycle: Option<String>,
    /// Whether it opted out of e-mail.
    pub opted_out: bool,
    /// Its owner.
    pub owner: Option<HubSpotOwnerId>,
    /// When a rep was in touch.
    pub touches: Touches,
    /// Its deals.
    pub deals: Vec<DealFacts>,
    /// The suppression lists that it is on.
    pub lists: Vec<ListFacts>,
}

impl ContactFacts {
    /// A contact of which nothing else is known.
    pub const fn new(id: HubSpotObjectId) -> Self {
        Self {
            id,
            archived: false,
            lifecycle: None,
            opted_out: false,
            owner: None,
            touches: Touches {
                contacted: None,
                meeting: None,
                next: None,
            },
            deals: Vec::new(),
            lists: Vec::new(),
        }
    }
}

/// A company, with everybody at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompanyFacts {
    /// Which one.
    pub id: HubSpotObjectId,
    /// Its lifecycle stage.
    pub lifecycle: Option<String>,
    /// Its owner.
    pub owner: Option<HubSpotOwnerId>,
    /// When a rep was in touch.
    pub touches: Touches,
    /// Its deals.
    pub deals: Vec<DealFacts>,
    /// The suppression lists that it is on.
    pub lists: Vec<ListFacts>,
    /// Its contacts outside of the recycle bin; such as no rule can find anything on may be missing.
    pub contacts: Vec<ContactFacts>,
}

impl CompanyFacts {
    /// A company of which nothing else is known.
    pub const fn new(id: HubSpotObjectId) -> Self {
        Self {
            id,
            lifecycle: None,
            owner: None,
            touches: Touches {
                contacted: None,
                meeting: None,
                next: None,
            },
            deals: Vec::new(),
            lists: Vec::new(),
            contacts: Vec::new(),
        }
    }
}
