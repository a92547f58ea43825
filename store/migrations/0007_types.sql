-- A cursor belongs to a type of a portal and to what it is read for; the run is an attribute. How a
-- type ended, what HubSpot refused of it, and what goes wrong now are told per type.

-- `id` is one reading: a run that reads the type anew gets another row, and ranges, refusals and late
-- pages of the reading before have nothing to hold on to.
alter table sync_cursor
    add column id bigint generated always as identity,
    add column workspace_id uuid,
    add column portal_id bigint,
    add column purpose text not null default 'run' check (purpose in ('run', 'members', 'periodic')),
    -- Of members: which list; else 0.
    add column part bigint not null default 0,
    add column outcome text not null default 'reading'
        check (outcome in ('reading', 'finished', 'skipped', 'refused', 'incomplete')),
    -- Inputs that HubSpot's answers did not speak of, though asked again.
    add column unanswered bigint not null default 0,
    -- Records a page, where less than usual are asked for; outlives the reading.
    add column page_size integer check (page_size > 0);

update sync_cursor c set workspace_id = r.workspace_id, portal_id = r.portal_id,
    outcome = case when c.skipped then 'skipped' when c.finished then 'finished' else 'reading' end
from sync_run r where r.id = c.run_id;

alter table sync_range add column cursor_id bigint;
update sync_range g set cursor_id = c.id
from sync_cursor c where c.run_id = g.run_id and c.sync_type = g.sync_type;
alter table sync_range
    drop constraint sync_range_run_id_sync_type_fkey,
    drop constraint sync_range_pkey,
    drop column run_id,
    drop column sync_type,
    add primary key (cursor_id, range_no);

-- Of each type only the newest reading is kept; one under way before one that ended.
delete from sync_range where cursor_id in (
    select id from (
        select c.id, row_number() over (
            partition by c.workspace_id, c.portal_id, c.sync_type
            order by (r.state in ('running', 'paused')) desc, c.began_at desc, c.id desc) as n
        from sync_cursor c join sync_run r on r.id = c.run_id) as ranked
    where n > 1);
delete from sync_cursor where id in (
    select id from (
        select c.id, row_number() over (
            partition by c.workspace_id, c.portal_id, c.sync_type
            order by (r.state in ('running', 'paused')) desc, c.began_at desc, c.id desc) as n
        from sync_cursor c join sync_run r on r.id = c.run_id) as ranked
    where n > 1);

alter table sync_cursor
    drop constraint sync_cursor_pkey,
    drop constraint sync_cursor_run_id_fkey,
    drop column finished,
    drop column skipped,
    alter column run_id drop not null,
    alter column workspace_id set not null,
    alter column portal_id set not null,
    add primary key (id),
    add unique (workspace_id, portal_id, sync_type, purpose, part),
    -- What came of a type is known for longer than the run.
    add foreign key (run_id) references sync_run (id) on delete set null;
create index sync_cursor_by_run on sync_cursor (run_id);
create index sync_cursor_reading on sync_cursor (sync_type) where outcome = 'reading';
alter table sync_range
    add foreign key (cursor_id) references sync_cursor (id) on delete cascade;

-- What HubSpot refused of a reading: all of it, or one of the reads that it consists of.
create table sync_refusal (
    cursor_id bigint not null references sync_cursor (id) on delete cascade,
    part text not null,
    code text not null,
    -- Any one of these would do; empty where it was no scope.
    scopes text[] not null default '{}',
    -- The property or parameter that HubSpot named.
    field text,
    refused_at timestamptz not null,
    primary key (cursor_id, part)
);

-- What goes wrong with a type now, and is tried again. No row: nothing.
create table sync_trouble (
    workspace_id uuid not null,
    portal_id bigint not null,
    sync_type text not null,
    code text not null,
    since timestamptz not null,
    last_at timestamptz not null,
    times bigint not null,
    primary key (workspace_id, portal_id, sync_type)
);

-- `members` reads the members of `lists` only, which were given a use.
alter table sync_run
    drop constraint sync_run_kind_check,
    add constraint sync_run_kind_check check (kind in ('initial', 'resync', 'members')),
    add column lists bigint[],
    -- Whether something of it was refused, skipped or not answered; set when it ends.
    add column refusals boolean not null default false,
    add check ((kind = 'members') = (lists is not null));
