-- Ended sagas are deleted after a while, the first one first.
CREATE INDEX sagas_by_end ON sagas (update_time, id) WHERE status IN ('completed', 'undone');
