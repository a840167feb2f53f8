-- The same view with the SELECT of this version.
ALTER TABLE $view$on_cluster MODIFY QUERY
$select
