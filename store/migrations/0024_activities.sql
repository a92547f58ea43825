-- Activities of the app, and what HubSpot has of them (E8).

-- `document` is the whole activity with its newest version, small where the app deleted it. `kind` and
-- `happened_at` repeat what is looked for. State, reason and due time are those of a request (X1), about
-- the portal of `portal_id`; `properties` are those that HubSpot refused.
create table app_activity (
    workspace_id uuid not null,
    activity_id text collate "C" not null,
    person_id text collate "C" not null,
    kind text,
    version bigint not null,
    revision bigint not null,
    happened_at timestamptz,
    document json not null,
    slots json not null,
    created_at timestamptz not null,
    changed_at timestamptz not null,
    portal_id bigint,
    state text not null default 'accepted',
    reason text,
    error_code text,
    properties text[],
    hubspot_id bigint,
    due_at timestamptz,
    attempts integer not null default 0,
    turned_at timestamptz not null,
    primary key (workspace_id, activity_id)
);
create index app_activity_by_person on app_activity (workspace_id, person_id, activity_id);
create index app_activity_due on app_activity (due_at) where due_at is not null;
create index app_activity_due_by_workspace on app_activity (workspace_id) where due_at is not null;
create index app_activity_waiting on app_activity (workspace_id, reason)
    where state = 'waiting' and due_at is null;

-- The engagement of an activity, in each portal that ever had it from us. No engagement is that of two.
-- `associated`: its associations were seen to be there.
create table logged_activity (
    workspace_id uuid not null,
    portal_id bigint not null,
    activity_id text collate "C" not null,
    person_id text collate "C" not null,
    object_type smallint not null,
    record_id bigint not null,
    version bigint not null,
    associated boolean not null,
    logged_at timestamptz not null,
    primary key (workspace_id, portal_id, activity_id)
);
create unique index logged_activity_record on logged_activity (portal_id, object_type, record_id);
create index logged_activity_by_person on logged_activity (workspace_id, person_id);

alter table app_activity alter column workspace_id set statistics 0;
alter table app_activity alter column portal_id set statistics 0;
alter table logged_activity alter column workspace_id set statistics 0;
alter table logged_activity alter column portal_id set statistics 0;
