DROP INDEX orders_open_drafts;
