//! What the app does about a person and what comes back (E8): e-mails, LinkedIn messages and requests,
//! calls, meetings, notes and tasks.

pub mod activity;
pub mod batches;
pub mod content;
pub mod engagement;
pub mod html;
pub mod plan;
pub mod recognise;

pub use activity::{Activity, ActivityInput, ActivityUpsert, Happened};
pub use batches::{Batch, batches};
pub use content::{
    ActivityContent, CallContent, CallOutcome, ConnectionRequestContent, Direction, EmailContent,
    LinkedinMessageContent, MeetingContent, MeetingOutcome, NoteContent, Party, TaskContent,
    TaskPriority, TaskStatus,
};
pub use engagement::{Engagement, Mapping, engagement};
pub use plan::{LogFacts, LogStep, next};
