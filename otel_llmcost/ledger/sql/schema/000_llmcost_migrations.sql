-- Which files of this folder were applied, and the sha256 of each as it was then.
CREATE TABLE IF NOT EXISTS llmcost_migrations
(
    name        String,
    sha256      String,
    applied_at  DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY name
