-- Open drafts are counted by user. The status is that of a draft, as `orders` has it.
CREATE INDEX orders_open_drafts ON orders (user_id, update_time) WHERE status = 'DRAFT';
