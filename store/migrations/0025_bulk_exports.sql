-- Bulk exports (E1): runs that somebody confirms, whom they are still to begin with, and what became of the
-- requests of those who were begun with.

-- `whom` is without the people that the call named: they are rows. `planned_to` is up to whom it was found
-- out who would be taken. `sample` has values of `sample_people`, and goes with the confirmation. `due_at`:
-- when it is gone on with.
create table bulk_export (
    id uuid primary key,
    workspace_id uuid not null,
    portal_id bigint not null,
    state text not null check (state in
        ('previewing', 'waiting_for_confirmation', 'running', 'cancelling', 'cancelled', 'done')),
    whom jsonb not null,
    include_earlier boolean not null,
    people bigint not null,
    begun bigint not null default 0,
    planned_to text collate "C",
    preview jsonb not null default '{"create": 0, "update": 0, "skipped": {}}',
    sample jsonb,
    sample_people text[],
    requested_at timestamptz not null,
    confirmed_at timestamptz,
    ended_at timestamptz,
    due_at timestamptz
);
create index bulk_export_by_workspace on bulk_export (workspace_id, id);
create index bulk_export_due on bulk_export (due_at) where due_at is not null;

-- Whom a run was not begun with yet; those who would be left out come last.
create table bulk_export_person (
    bulk_id uuid not null,
    workspace_id uuid not null,
    person_id text collate "C" not null,
    left_out boolean not null default false,
    primary key (bulk_id, person_id)
);
create index bulk_export_person_next on bulk_export_person (bulk_id, left_out, person_id);
create index bulk_export_person_by_person on bulk_export_person (workspace_id, person_id);

-- Requests of a run, by what became of them; `reason` is '' where there is none.
create table bulk_export_count (
    bulk_id uuid not null references bulk_export on delete cascade,
    state text not null,
    reason text not null,
    requests bigint not null,
    primary key (bulk_id, state, reason)
);

alter table export_request add column bulk_id uuid;
create index export_request_of_bulk on export_request (bulk_id, id) where bulk_id is not null;
-- Those whom the run itself looks after: nobody else is to.
create index export_request_left_to_bulk on export_request (bulk_id, id)
    where bulk_id is not null and state = 'accepted' and due_at is null;

-- Counts follow each request, whoever turns it. The run is held first, so that nobody waits crosswise.
create function count_bulk_requests() returns trigger language plpgsql as $$
begin
    if not exists (select 1 from fresh where bulk_id is not null) then
        return null;
    end if;
    perform 1 from bulk_export b where b.id in (select f.bulk_id from fresh f) order by b.id for update;
    if tg_op = 'INSERT' then
        insert into bulk_export_count as c (bulk_id, state, reason, requests)
        select f.bulk_id, f.state, coalesce(f.reason, ''), count(*)
        from fresh f join bulk_export b on b.id = f.bulk_id group by 1, 2, 3
        on conflict (bulk_id, state, reason) do update set requests = c.requests + excluded.requests;
    else
        insert into bulk_export_count as c (bulk_id, state, reason, requests)
        select d.bulk_id, d.state, d.reason, sum(d.n) from (
            select bulk_id, state, coalesce(reason, '') as reason, 1 as n from fresh where bulk_id is not null
            union all
            select bulk_id, state, coalesce(reason, ''), -1 from stale where bulk_id is not null) d
        join bulk_export b on b.id = d.bulk_id
        group by 1, 2, 3 having sum(d.n) <> 0
        on conflict (bulk_id, state, reason) do update set requests = c.requests + excluded.requests;
    end if;
    return null;
end $$;
create trigger export_request_counted after insert on export_request
    referencing new table as fresh
    for each statement execute function count_bulk_requests();
create trigger export_request_recounted after update on export_request
    referencing old table as stale new table as fresh
    for each statement execute function count_bulk_requests();

alter table bulk_export alter column workspace_id set statistics 0;
alter table bulk_export alter column portal_id set statistics 0;
alter table bulk_export_person alter column workspace_id set statistics 0;
