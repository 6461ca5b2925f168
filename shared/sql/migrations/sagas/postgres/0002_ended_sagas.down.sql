DROP INDEX sagas_by_end;
