DROP TABLE request_records;
DROP TABLE refresh_tokens;
DROP TABLE passwords;
DROP TABLE users;
