-- Exports: who was exported, the journal, who writes about whom, which company a domain is (E1–E10, X1).

-- `anew`: a manual request that makes an archived contact again. `attempts` counts those since it last
-- got somewhere; `error_code` and `properties` say more of why it waits, was left out or failed.
alter table export_request
    add column anew boolean not null default false,
    add column attempts integer not null default 0,
    add column error_code text,
    add column properties text[];
create index export_request_pending on export_request (workspace_id, person_id)
    where state in ('accepted', 'waiting');
create index export_request_waiting on export_request (workspace_id, reason)
    where state = 'waiting' and due_at is null;

-- Whom HubSpot has from us. `status_said` is the status that it was last told of. What was written
-- before `resumed_at` counts no more for pauses of rows.
create table exported_person (
    workspace_id uuid not null,
    portal_id bigint not null,
    person_id text collate "C" not null,
    contact_id bigint not null,
    status_said text,
    exported_at timestamptz not null,
    last_exported_at timestamptz not null,
    resumed_at timestamptz,
    primary key (workspace_id, portal_id, person_id)
);

-- Each write, committed before it is sent, and closed after it. `person_id` is in whose export it was,
-- `subject_kind` and `subject_id` whom or what of the app's it is about. `object_id` of a create is
-- null until HubSpot gave one. Retention takes the values out of `written` and leaves the names.
create table export_journal (
    workspace_id uuid not null,
    entry_id uuid not null,
    portal_id bigint not null,
    person_id text collate "C" not null,
    subject_kind text not null,
    subject_id text collate "C" not null,
    cause jsonb not null,
    operation jsonb not null,
    object_type smallint not null,
    object_id bigint,
    written jsonb not null,
    state text not null check (state in ('open', 'done', 'refused', 'dropped')),
    error_code text,
    opened_at timestamptz not null,
    sent_at timestamptz,
    closed_at timestamptz,
    primary key (workspace_id, entry_id)
);
create index export_journal_open on export_journal (workspace_id, person_id) where state = 'open';
create index export_journal_by_person on export_journal (workspace_id, person_id, entry_id);
create index export_journal_by_subject on export_journal (workspace_id, portal_id, subject_kind, subject_id, entry_id);
create index export_journal_by_record on export_journal (workspace_id, portal_id, object_type, object_id);
create index export_journal_by_age on export_journal (opened_at);

-- Who writes about a person now. A holder that lost it has an older generation.
create table person_writer (
    workspace_id uuid not null,
    person_id text collate "C" not null,
    generation bigint not null,
    held_until timestamptz not null,
    primary key (workspace_id, person_id)
);

-- Which company a domain is, for all workspaces of a portal. Whoever holds it may make one; an entry
-- that is open is what somebody began to make, and is looked after first.
create table company_claim (
    portal_id bigint not null,
    domain text collate "C" not null,
    generation bigint not null default 0,
    held_until timestamptz,
    company_id bigint,
    entry_workspace uuid,
    entry_id uuid,
    primary key (portal_id, domain)
);

-- Records written, by day of the portal's time zone, for the ceiling.
create table export_day (
    workspace_id uuid not null,
    portal_id bigint not null,
    day date not null,
    records bigint not null,
    primary key (workspace_id, portal_id, day)
);

-- New contacts whose companies are looked at once more: HubSpot's automation comes a little later.
create table export_recheck (
    workspace_id uuid not null,
    portal_id bigint not null,
    person_id text collate "C" not null,
    contact_id bigint not null,
    company_id bigint not null,
    was_primary boolean not null,
    due_at timestamptz not null,
    attempts integer not null default 0,
    primary key (workspace_id, portal_id, contact_id)
);
create index export_recheck_due on export_recheck (due_at);

-- Previews that were asked for, until somebody has read them or a while has passed.
create table export_preview (
    id uuid primary key,
    workspace_id uuid not null,
    person_id text collate "C" not null,
    asked_at timestamptz not null,
    answer jsonb
);
create index export_preview_by_age on export_preview (asked_at);
create index export_preview_by_person on export_preview (workspace_id, person_id);

-- Reverts that were asked for.
create table export_revert (
    id uuid primary key,
    workspace_id uuid not null,
    person_id text collate "C" not null,
    entry_id uuid not null,
    property text not null,
    state text not null check (state in ('accepted', 'done', 'refused')),
    code text,
    asked_at timestamptz not null,
    due_at timestamptz,
    changed_at timestamptz not null
);
create index export_revert_by_person on export_revert (workspace_id, person_id);
create index export_revert_due on export_revert (due_at) where due_at is not null;

-- Rules of a portal's admins about its records, as they were last read.
create table portal_rule (
    workspace_id uuid not null,
    portal_id bigint not null,
    object_type smallint not null,
    rules jsonb not null,
    read_at timestamptz not null,
    primary key (workspace_id, portal_id, object_type)
);

do $$
declare
    t text;
    c text;
begin
    foreach t in array array['exported_person', 'export_journal', 'person_writer', 'company_claim', 'export_day',
        'export_recheck', 'export_preview', 'export_revert', 'portal_rule'] loop
        foreach c in array array['workspace_id', 'portal_id'] loop
            if exists (select 1 from pg_attribute where attrelid = t::regclass and attname = c) then
                execute format('alter table %I alter column %I set statistics 0', t, c);
            end if;
        end loop;
    end loop;
end $$;
