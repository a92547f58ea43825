-- What is gathered of these columns tells of the workspaces that were there then. Where it was one, a
-- new one seems to have no rows, and walking all of them looks as good as the index that was made for the
-- question. Without, a workspace is believed to be a fixed part of its partition.
do $$
declare
    t record;
begin
    for t in
        select c.relname, a.attname
        from pg_attribute a
        join pg_class c on c.oid = a.attrelid
        where c.relnamespace = current_schema()::regnamespace
            and c.relkind in ('r', 'p') and not c.relispartition
            and a.attname in ('workspace_id', 'portal_id') and not a.attisdropped
    loop
        execute format('alter table %I alter column %I set statistics 0', t.relname, t.attname);
    end loop;
    -- What was gathered before would stay.
    if to_regproc('pg_catalog.pg_clear_attribute_stats') is not null then
        for t in
            select s.tablename as relname, s.attname, s.inherited
            from pg_stats s
            where s.schemaname = current_schema() and s.attname in ('workspace_id', 'portal_id')
        loop
            perform pg_clear_attribute_stats(current_schema()::text, t.relname::text, t.attname::text, t.inherited);
        end loop;
    end if;
end $$;
