//! The bodies of `/api/v1`: what `web/` answers and `client/` reads. The OpenAPI document and the
//! JSON Schemas are generated from these types.

mod connection;
mod paging;
mod people;
mod problem;
mod requests;
mod settings;
mod tokens;

pub use connection::{
    ConnectAnswer, ConnectRequest, DisconnectAnswer, ObjectStatus, ResyncAnswer, RunStatus,
    StatusAnswer,
};
pub use paging::{IdempotencyKey, Page, PageCursor, PageLimit};
pub use people::{
    CompanyUpserts, CustomFieldUpserts, EraseAnswer, EraseRequest, ErasedCounts, FieldAnswer,
    FieldsAnswer, ItemOutcome, MAX_ITEMS, MemberUpserts, OutreachInput, OutreachUpserts,
    PersonUpserts, PurgeAnswer, StatusAnswerRow, StatusInput, StatusUpserts, UpsertAnswer,
    UpsertCounts,
};
pub use problem::{Problem, SettingsConflict, SettingsRefused};
pub use requests::{BulkExport, ExportAnswer, ManualExport, RequestAnswer};
pub use settings::{
    OwnerAnswer, OwnerMapping, SettingsAnswer, SettingsCheck, SettingsCheckAnswer, SettingsPut,
};
pub use tokens::{TokenAnswer, TokenCreate, TokenCreated, TokenId};
