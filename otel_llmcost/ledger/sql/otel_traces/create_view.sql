-- What a table of traces gets becomes rows of a table of ours.
CREATE MATERIALIZED VIEW IF NOT EXISTS $view$on_cluster TO $target AS
$select
