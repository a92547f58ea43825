-- Recent engagements of other reps (I10), where a workspace reads them.

-- `modified_at` is HubSpot's, `read_at` when the request was sent that brought it. `title` is what the
-- kind has one of; texts are not kept.
create table hubspot_touch (
    workspace_id uuid not null,
    portal_id bigint not null,
    object_type smallint not null,
    object_id bigint not null,
    happened_at timestamptz not null,
    modified_at timestamptz not null,
    read_at timestamptz not null,
    owner_id bigint,
    title text,
    primary key (workspace_id, portal_id, object_type, object_id)
);
create index hubspot_touch_by_time on hubspot_touch (workspace_id, happened_at);

-- Whom an engagement is with. What an answer does not name stays.
create table hubspot_touch_contact (
    workspace_id uuid not null,
    portal_id bigint not null,
    contact_id bigint not null,
    object_type smallint not null,
    object_id bigint not null,
    primary key (workspace_id, portal_id, contact_id, object_type, object_id)
);
create index hubspot_touch_contact_by_touch
    on hubspot_touch_contact (workspace_id, portal_id, object_type, object_id);

-- How many days back a kind was read whole. Since then what changed is read. No row: it is read whole.
create table touch_coverage (
    workspace_id uuid not null,
    portal_id bigint not null,
    object_type smallint not null,
    days integer not null check (days > 0),
    primary key (workspace_id, portal_id, object_type)
);

alter table hubspot_touch alter column workspace_id set statistics 0;
alter table hubspot_touch alter column portal_id set statistics 0;
alter table hubspot_touch_contact alter column workspace_id set statistics 0;
alter table hubspot_touch_contact alter column portal_id set statistics 0;

-- Of a periodic reading that was not answered whole: when it is asked again, and how often it was in
-- vain. Of a pass of a reconciliation: the requests that it took.
alter table sync_cursor
    add column again_at timestamptz,
    add column again_times integer not null default 0,
    add column requests bigint not null default 0,
    add column association_requests bigint not null default 0;
create index sync_cursor_again on sync_cursor (again_at) where again_at is not null;

-- Whether HubSpot told that the contact was deleted for privacy (GDPR).
alter table webhook_record add column privacy boolean not null default false;

-- A type of which readings find none of the records that are known. `known` is how many; null once some
-- were found again. `changed` is for whoever follows changes.
create table type_alarm (
    workspace_id uuid not null,
    portal_id bigint not null,
    sync_type text collate "C" not null,
    known bigint,
    since timestamptz not null,
    changed bigint not null default mirror_change(),
    primary key (workspace_id, portal_id, sync_type)
);
create index type_alarm_by_change on type_alarm (workspace_id, portal_id, changed, sync_type);

-- The place of the last page of a huge list's members in the order in which they joined: who joined since
-- comes behind it.
alter table hubspot_list add column tail text;

alter table touch_coverage alter column workspace_id set statistics 0;
alter table touch_coverage alter column portal_id set statistics 0;
alter table type_alarm alter column workspace_id set statistics 0;
alter table type_alarm alter column portal_id set statistics 0;
