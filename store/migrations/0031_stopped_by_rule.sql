-- How many people each rule stops (I8): what verdicts added and took away since they were last put
-- together. Nobody waits for anybody, as each writer adds rows of its own.
create table dnc_rule_count (
    workspace_id uuid not null,
    portal_id bigint not null,
    -- A rule; '' is any of them, '*' is everybody with a verdict.
    rule text not null,
    people bigint not null
);
create index dnc_rule_count_of_workspace on dnc_rule_count (workspace_id, portal_id);

create function dnc_rules_of(allowed boolean, reasons jsonb) returns setof text language sql immutable parallel safe as $$
    select distinct r.value ->> 'rule' from jsonb_array_elements(reasons) r
    union all select '' where not allowed
    union all select '*'
$$;

create function count_dnc_rules() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into dnc_rule_count (workspace_id, portal_id, rule, people)
        select f.workspace_id, f.portal_id, r, count(*)
        from fresh f cross join lateral dnc_rules_of(f.allowed, f.reasons) r group by 1, 2, 3;
    elsif tg_op = 'DELETE' then
        insert into dnc_rule_count (workspace_id, portal_id, rule, people)
        select s.workspace_id, s.portal_id, r, -count(*)
        from stale s cross join lateral dnc_rules_of(s.allowed, s.reasons) r group by 1, 2, 3;
    else
        insert into dnc_rule_count (workspace_id, portal_id, rule, people)
        select d.workspace_id, d.portal_id, d.r, sum(d.n) from (
            select f.workspace_id, f.portal_id, r, 1 as n
            from fresh f cross join lateral dnc_rules_of(f.allowed, f.reasons) r
            union all
            select s.workspace_id, s.portal_id, r, -1
            from stale s cross join lateral dnc_rules_of(s.allowed, s.reasons) r) d
        group by 1, 2, 3 having sum(d.n) <> 0;
    end if;
    return null;
end $$;
create trigger dnc_verdict_counted after insert on dnc_verdict
    referencing new table as fresh
    for each statement execute function count_dnc_rules();
create trigger dnc_verdict_recounted after update on dnc_verdict
    referencing old table as stale new table as fresh
    for each statement execute function count_dnc_rules();
create trigger dnc_verdict_discounted after delete on dnc_verdict
    referencing old table as stale
    for each statement execute function count_dnc_rules();

insert into dnc_rule_count (workspace_id, portal_id, rule, people)
select v.workspace_id, v.portal_id, r, count(*)
from dnc_verdict v cross join lateral dnc_rules_of(v.allowed, v.reasons) r group by 1, 2, 3;

alter table dnc_rule_count alter column workspace_id set statistics 0;
alter table dnc_rule_count alter column portal_id set statistics 0;
