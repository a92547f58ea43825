//! Whether a person may be contacted (I8): one function, total, that names a record for each reason.
//!
//! - [`facts`]: what is known of contacts, companies and their deals.
//! - [`judge`]: the rules.
//! - [`verdict`]: what comes of them together with the last verdict: an unknown never becomes a yes.
//! - [`staleness`]: which reads the rules in force stand on, and what is wrong with them.
//!
//! What the rules say, beyond the words of their settings:
//!
//! - A person is every contact that has their address, as primary or additional one, now or formerly.
//!   One that lies in the recycle bin or was merged away counts for lists and for the opt-out alone.
//! - A person without a contact outside of the bin is judged by the companies of their e-mail domain.
//! - A deal is open unless its stage, or where the stage is not known any more HubSpot's own flags, say
//!   that it is closed. A stage or pipeline that is not known is among the chosen ones.
//! - A day that cannot be read, or is missing where there has to be one, lies within any number of days.

pub mod facts;
pub mod judge;
pub mod staleness;
pub mod verdict;

pub use facts::{
    Calendar, CompanyFacts, ContactFacts, Day, DealFacts, DealStatus, ListFacts, Touches,
};
pub use judge::{Findings, Judge, Judgement};
pub use staleness::{ListState, Stale, StaleCause, TypeState, stale_reads};
pub use verdict::{DncReason, DncRule, RecordRef, Verdict};

#[cfg(test)]
mod tests;
