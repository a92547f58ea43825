-- The feed of changes for the app: lists have change numbers, and what an erasure removed leaves a
-- tombstone for a while. Webhooks: records that HubSpot told us to read.

-- The number of the last change of a list: its definition, whether it is there, or its members.
alter table hubspot_list add column changed bigint not null default mirror_change();

-- A record whose row is gone though a reader of changes may know it. Pruned after a while.
create table change_tombstone (
    workspace_id uuid not null,
    portal_id bigint not null,
    object_type smallint not null,
    object_id bigint not null,
    changed bigint not null default mirror_change(),
    removed_at timestamptz not null default now(),
    primary key (workspace_id, portal_id, object_type, object_id)
);
create index change_tombstone_by_change on change_tombstone (workspace_id, portal_id, changed);
create index change_tombstone_by_age on change_tombstone (removed_at);

-- The greatest number of a tombstone that was pruned: whoever has not read so far missed it.
create table change_horizon (
    workspace_id uuid not null,
    portal_id bigint not null,
    number bigint not null,
    primary key (workspace_id, portal_id)
);

-- A delivery names its portal; which workspaces are connected to it?
create index connection_by_portal on connection (portal_id);

-- A record that is to be read, because HubSpot said that something happened to it. However often it
-- says so, there is one row. `seq` is the newest event's: a read removes the row only if no other
-- event came since.
create sequence webhook_record_seq;
create table webhook_record (
    workspace_id uuid not null,
    portal_id bigint not null,
    object_type smallint not null,
    object_id bigint not null,
    seq bigint not null default nextval('webhook_record_seq'),
    first_at timestamptz not null default now(),
    due_at timestamptz not null default now(),
    attempts integer not null default 0,
    primary key (workspace_id, portal_id, object_type, object_id)
) with (fillfactor = 50);
create index webhook_record_due on webhook_record (workspace_id, due_at);

-- Somebody has been woken to read records of this workspace and has not begun: others need not wake.
create table webhook_wake (
    workspace_id uuid primary key,
    asked_at timestamptz not null default now()
);
